"""The values that Django writes to the columns of a new row of a model.

Shared by the program that derives the manifest and by the one that computes values for a new tenant.
"""

AUTO = {"AutoField", "BigAutoField", "SmallAutoField"}


def defaults(options, given):
    """The value of each column that Django fills without being told. A column without a value is omitted."""
    found = {}
    for field in options.local_concrete_fields:
        if field.column and field.column not in given:
            value = default(field)
            if value is not None:
                found[field.column] = value
    return found


def default(field):
    """How the column gets its value: a text, the time, "uuid", or "computed" if only a call at the insertion knows it."""
    import datetime
    import uuid

    from django.db.models import NOT_PROVIDED
    from django.utils import timezone

    if field.primary_key and field.get_internal_type() in AUTO:
        return None
    if getattr(field, "db_default", NOT_PROVIDED) is not NOT_PROVIDED or getattr(field, "generated", False):
        return None
    if getattr(field, "auto_now_add", False) or getattr(field, "auto_now", False):
        return now(field)
    if field.has_default():
        if not callable(field.default):
            return default_text(field)
        if field.default is uuid.uuid4:
            return "uuid"
        if field.default in (timezone.now, datetime.datetime.now, datetime.date.today):
            return now(field)
        if field.default in (dict, list, set, tuple, str, int, float, bool):
            return default_text(field)
        return "computed"
    # Django writes an empty text. A unique or mandatory one needs a value, and so does one that the field generates.
    generated = not type(field).pre_save.__module__.startswith("django.")
    if field.blank and not field.unique and not generated and field.get_default() == "":
        return {"text": ""}
    return None


def now(field):
    """The current time; a column without a time zone gets the local time of the project's."""
    from django.conf import settings

    aware = settings.USE_TZ and field.get_internal_type() == "DateTimeField"
    return "now" if aware else {"local": settings.TIME_ZONE}


def computed(options, given):
    """The current values of the columns whose value is computed at the insertion."""
    found = {}
    for field in options.local_concrete_fields:
        if field.column and field.column not in given and default(field) == "computed":
            value = default_text(field)
            if value is not None:
                found[field.column] = value["text"]
    return found


def default_text(field):
    """The default as PostgreSQL's input text; None is NULL."""
    value = field.get_prep_value(field.get_default())
    if value is None:
        return None
    if field.get_internal_type() == "JSONField":
        return {"text": json.dumps(value, cls=getattr(field, "encoder", None))}
    return {"text": input_text(value)}


def input_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"\\x{bytes(value).hex()}"
    if isinstance(value, dict):
        return ", ".join(f"{quoted(key)}=>{quoted(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple, set)):
        return "{" + ",".join(input_text(item) if isinstance(item, (list, tuple)) else quoted(item) for item in value) + "}"
    return str(value)


def quoted(value):
    """An element of an array or of an hstore."""
    if value is None:
        return "NULL"
    escaped = input_text(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


