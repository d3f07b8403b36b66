#!/usr/bin/env bash
# Compares portcullis with tini, dumb-init and catatonit, each in a new PID namespace, and prints the ratios and the
# table that docs/pid1.md quotes. Needs root and a release build:
#     benches/pid1.sh [$(scripts/static)/portcullis]
# docs/pid1.md shows the complete output of one run.
set -euo pipefail

PORTCULLIS=$(realpath "${1:-$("$(dirname "$0")/../scripts/static")/portcullis}")
ROUNDS=${ROUNDS:-1500}      # complete runs of `true` for each program
SECONDS_OF_FORKS=${SECONDS_OF_FORKS:-10}
SECONDS_IDLE=${SECONDS_IDLE:-10}
TERMS=${TERMS:-200}         # TERMs at random instants around the handover
export PORTCULLIS

missing=()
for program in tini dumb-init catatonit; do command -v "$program" > /dev/null || missing+=("$program"); done
for program in perl unshare setsid; do command -v "$program" > /dev/null || { echo "needs $program" >&2; exit 1; }; done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get install -y --no-install-recommends "${missing[@]}" > /dev/null
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Copied in one write, as in an image and a package: the linker leaves the file in the page cache in small pieces, each of
# which is mapped separately.
cp "$PORTCULLIS" "$folder/portcullis"
PORTCULLIS=$folder/portcullis

# Runs a command as PID 1 of a new namespace, for at most a minute.
ns() { timeout --foreground -s KILL 60 unshare --pid --fork --kill-child --mount-proc "$@"; }

# The command prefix of each program.
prefix() {
    case $1 in
        tini) echo "tini --" ;;
        dumb-init) echo "dumb-init --" ;;
        catatonit) echo "catatonit --" ;;
        portcullis) echo "$PORTCULLIS init --" ;;
        supervise) echo "$PORTCULLIS run --config $folder/supervise.toml --" ;;
    esac
}

exit_code_of_a_signal() { echo "$(code ns $(prefix "$1") sh -c 'kill -TERM $$') / $(code ns $(prefix "$1") sh -c 'kill -KILL $$')"; }

remaps_an_exit_code() {
    local output
    case $1 in
        tini) output=$(code ns tini -e 143 -- sh -c 'exit 143') ;;
        portcullis) output=$(code ns "$PORTCULLIS" init -e 143 -- sh -c 'exit 143') ;;
        *) echo "no such option"; return ;;
    esac
    [ "$output" = 0 ] && echo yes || echo no
}

rewrites_a_signal() {
    local front
    case $1 in
        dumb-init) front="dumb-init -r 15:3 --" ;;
        portcullis) front="$PORTCULLIS init -r 15:3 --" ;;
        *) echo "no such option"; return ;;
    esac
    [ "$(code ns $front bash -c 'trap "exit 33" QUIT; sleep 0.1; kill -TERM 1; while :; do sleep 0.01; done')" = 33 ] && echo yes || echo no
}

receives_signal_on_parents_death() {
    local front output
    case $1 in
        tini) front="tini -s -p SIGUSR2 --" ;;
        portcullis) front="$PORTCULLIS init -p SIGUSR2 --" ;;
        *) echo "no such option"; return ;;
    esac
    cat > "$folder/parent" << BASH
$front bash -c 'trap "echo orphaned; exit 0" USR2; while :; do sleep 0.01; done' &
sleep 0.5
kill -KILL \$\$
BASH
    output=$(ns bash -c 'bash "$1"; sleep 0.5' bash "$folder/parent" 2> /dev/null || true)
    [ "$output" = orphaned ] && echo yes || echo no
}

runs_a_script_without_an_interpreter() {
    printf 'exit 44\n' > "$folder/script"
    chmod +x "$folder/script"
    [ "$(code ns $(prefix "$1") "$folder/script")" = 44 ] && echo yes || echo no
}

code() { local code=0; "$@" > /dev/null 2>&1 || code=$?; echo "$code"; }

codes_of_what_cannot_run() { echo "$(code ns $(prefix "$1") no-such-program) / $(code ns $(prefix "$1") /etc/passwd)"; }

late_grandchild() {
    local output
    output=$(ns $(prefix "$1") sh -c '(sleep 1; echo finished) & exit 0' 2> /dev/null || true)
    [ "$output" = finished ] && echo finishes || echo killed
}

# The milliseconds until a container ends after its program crashed and left a child; the same if the child ignores TERM.
end_after_a_crash() {
    local start middle
    start=$(date +%s%3N)
    code ns $(prefix "$1") sh -c 'sleep 1000 & exit 1' > "$folder/output"
    middle=$(date +%s%3N)
    code ns $(prefix "$1") sh -c '(trap "" TERM; exec sleep 1000) & exit 1' > "$folder/output"
    echo "$((middle - start)) / $(($(date +%s%3N) - middle)) ms"
}

# Sends TERM to PID 1; the main process ends at once.
other_session_receives_term() {
    local output
    output=$(ns $(prefix "$1") bash -c '
        setsid bash -c "trap \"echo received; exit\" TERM; while :; do sleep 0.01; done" &
        trap "exit 0" TERM; sleep 0.3; kill -TERM 1; while :; do sleep 0.01; done' 2> /dev/null || true)
    [ "$output" = received ] && echo yes || echo no
}

cleanup_after_term() {
    local output
    output=$(ns $(prefix "$1") bash -c '
        bash -c "trap \"sleep 1; echo rolled back; exit\" TERM; while :; do sleep 0.01; done" &
        trap "exit 0" TERM; sleep 0.3; kill -TERM 1; while :; do sleep 0.01; done' 2> /dev/null || true)
    [ "$output" = "rolled back" ] && echo yes || echo no
}

signal_state() {
    local state="env --block-signal=TERM,ILL,TTIN --ignore-signal=INT,SEGV,TTOU,PIPE,HUP"
    ns $state sh -c 'exec cat /proc/self/status' 2> /dev/null | grep -E '^Sig(Blk|Ign)' > "$folder/direct" || true
    ns $state $(prefix "$1") cat /proc/self/status 2> /dev/null | grep -E '^Sig(Blk|Ign)' > "$folder/through" || true
    cmp -s "$folder/direct" "$folder/through" && echo exact || echo changed
}

# Sends signals to PID 1 from outside; the program prints those that it receives. KILL, STOP and CHLD cannot be forwarded,
# and the three stop signals of a terminal have a separate row.
signals_forwarded() {
    cat > "$folder/catch.pl" << 'PERL'
$| = 1; my @names = split / /, do { require Config; $Config::Config{sig_name} };
my @numbers = split / /, $Config::Config{sig_num};
my %got; for my $i (1 .. $#names) { my $n = $numbers[$i]; next if $n < 1 || $n == 9 || $n == 17 || ($n >= 19 && $n <= 22);
    eval { $SIG{$names[$i]} = sub { unless ($got{$n}++) { print "$n\n" } } }; }
print "ready\n"; select undef, undef, undef, 1 while 1;
PERL
    : > "$folder/got"
    timeout -s KILL 60 unshare --pid --fork --kill-child --mount-proc $(prefix "$1") perl "$folder/catch.pl" \
        > "$folder/got" 2> /dev/null &
    local job=$! unshare init
    until grep -q ready "$folder/got"; do sleep 0.01; done
    unshare=$(pgrep -P $job); init=$(pgrep -P "$unshare")
    local sent=0
    for signal in $(seq 1 31) $(seq 34 64); do
        case $signal in 9 | 17 | 19 | 20 | 21 | 22) continue ;; esac
        kill -0 "$init" 2> /dev/null || break
        kill -"$signal" "$init" 2> /dev/null || true
        sent=$((sent + 1))
        sleep 0.02
    done
    sleep 0.2
    local got=$(($(sort -u "$folder/got" | wc -l) - 1))
    kill -KILL "$init" 2> /dev/null || true
    wait $job 2> /dev/null || true
    echo "$got of 56"
}

# Sends TSTP and then CONT to PID 1: does the program stop and continue?
stops_and_continues() {
    local output
    output=$(ns $(prefix "$1") perl -e '
        my $child = fork; if (!$child) { setpgrp; select undef, undef, undef, 0.3; kill TSTP => 1;
            for (1 .. 100) { select undef, undef, undef, 0.01; open my $f, "<", "/proc/" . getppid . "/stat";
                if (<$f> =~ /\) T /) { syswrite STDOUT, "stops"; last } }
            kill CONT => 1; exit }
        waitpid $child, 0; syswrite STDOUT, " and continues"' 2> /dev/null || true)
    case $output in "stops and continues") echo yes ;; *) echo no ;; esac
}

# Below another PID 1: which process adopts an orphan?
reaps_when_not_pid_1() {
    local output=
    # On a busy machine the first attempts may print nothing.
    until [ -n "$output" ]; do
        output=$(ns sh -c "$(prefix "$1") bash -c '(sh -c \"sleep 0.3; cut -d\\\" \\\" -f4 /proc/\\\$\\\$/stat\" &) ; sleep 2' 2> /dev/null; exit 0")
    done
    [ "$output" = 1 ] && echo no || echo yes
}

# The wake-ups of PID 1 while its program sleeps, and its anonymous memory.
idle() {
    ns $(prefix "$1") perl -e '
        sub of { open my $f, "<", "/proc/1/status"; my $s = 0; my $m = 0;
            while (<$f>) { $s += $1 if /ctxt_switches:\s+(\d+)/; $m = $1 if /^RssAnon:\s+(\d+)/ } return ($s, $m) }
        select undef, undef, undef, 0.5; my ($before) = of(); select undef, undef, undef, $ARGV[0];
        my ($after, $memory) = of(); print $after - $before, " ", $memory, "\n"' "$SECONDS_IDLE" 2> /dev/null
}

# Creates orphans at the highest rate; zombies that remain afterwards were not reaped.
orphans() {
    ns $(prefix "$1") perl -e '
        my $end = time + $ARGV[0]; my $made = 0;
        while (time < $end) { my $child = fork; if (!$child) { for (1 .. 20) { exit 0 if !fork } exit 0 }
            waitpid $child, 0; $made += 20 }
        my $zombies;
        for (1 .. 50) { select undef, undef, undef, 0.1; $zombies = 0;
            for my $stat (glob "/proc/[0-9]*/stat") { open my $f, "<", $stat or next; $zombies++ if <$f> =~ /\) Z / }
            last if !$zombies }
        print "$zombies of $made\n"' "$SECONDS_OF_FORKS" 2> /dev/null
}

holds_descriptors() { ns $(prefix "$1") sh -c 'sleep 0.2; ls /proc/1/fd | wc -l; exit 0' 7< /dev/null 8> /dev/null 2> /dev/null; }

listen_pid() {
    local output
    output=$(ns sh -c 'export LISTEN_PID=$$; exec '"$(prefix "$1")"' sh -c "[ \"\$LISTEN_PID\" = \$\$ ] && echo yes || echo no"' 2> /dev/null)
    echo "$output"
}

# The time of complete runs, in turn, so that all run under the same load: the median of each, and its fastest tenth.
# None runs as PID 1, because that would measure unshare; tini therefore needs -s.
times() {
    perl -MTime::HiRes=time -e '
        my ($rounds, @programs) = @ARGV; my %times; open STDERR, ">", "/dev/null";
        for my $round (0 .. $rounds) { for my $program (@programs) { my $start = time; system split / /, $program;
            push @{$times{$program}}, time - $start if $round } }
        for my $program (@programs) { my @sorted = sort { $a <=> $b } @{$times{$program}};
            printf "%.0f %.0f\n", 1e6 * $sorted[@sorted / 2], 1e6 * $sorted[@sorted / 10] }' \
        "$ROUNDS" true "tini -s -- true" "dumb-init -- true" "catatonit -- true" \
        "$PORTCULLIS init -- true" "$PORTCULLIS run --no-config -- true"
}

# By default perl handles signals between two of its operations and loses one just before a system call.
export PERL_SIGNALS=unsafe

# Sends TERM at random instants around the start; a TERM is lost if the server still runs afterwards.
lost_terms() {
    perl -MTime::HiRes=usleep -MPOSIX=:sys_wait_h -e '
        my ($runs, @words) = @ARGV; my $lost = 0;
        for (1 .. $runs) { my $pid = fork;
            if (!$pid) { open STDERR, ">", "/dev/null"; exec qw(unshare --pid --fork --kill-child --mount-proc), @words or die }
            my $init; until ($init) { open my $f, "<", "/proc/$pid/task/$pid/children" or last; $init = (split " ", <$f> // "")[0] }
            until (!$init || (readlink("/proc/$init/exe") // "") !~ /unshare/) { usleep 20 }
            usleep int rand 10000; kill TERM => $init;
            my $gone = 0; for (1 .. 1000) { $gone = waitpid($pid, WNOHANG), last if $gone; usleep 1000; $gone = waitpid $pid, WNOHANG; last if $gone }
            if (!$gone) { $lost++; kill KILL => $pid, $init; waitpid $pid, 0 } }
        print "$lost of $runs\n"' "$TERMS" "$@" \
        perl -e '$SIG{TERM} = sub { exit 143 }; select undef, undef, undef, 60'
}

programs=(tini dumb-init catatonit portcullis)
row() { printf '| %s |' "$1"; shift; printf ' %s |' "$@"; printf '\n'; }
measured() { local title=$1 how=$2 cells=(); for program in "${programs[@]}"; do cells+=("$($how "$program")"); done; row "$title" "${cells[@]}"; }

mapfile -t lines < <(times)
median=(); low=()
for line in "${lines[@]}"; do median+=("${line% *}"); low+=("${line#* }"); done
ratio() { perl -e 'printf "%.2f", $ARGV[0] / $ARGV[1]' "$1" "$2"; }

echo "| | ${programs[0]} | ${programs[1]} | ${programs[2]} | portcullis init |"
echo "|---|---|---|---|---|"
measured "missing / not executable" codes_of_what_cannot_run
measured "exit code when TERM / KILL ends the program" exit_code_of_a_signal
measured "an exit code can be mapped to 0" remaps_an_exit_code
measured "a signal can be rewritten" rewrites_a_signal
measured "a signal on the death of the parent process" receives_signal_on_parents_death
measured "a script without a \`#!\` line runs" runs_a_script_without_an_interpreter
measured "a grandchild that needs 1 s more than a successful main process" late_grandchild
measured "end of the container after a crash; the same if a child ignores TERM" end_after_a_crash
measured "a descendant has 1 s to clean up after TERM" cleanup_after_term
measured "a descendant in another session gets TERM" other_session_receives_term
measured "signals forwarded" signals_forwarded
measured "TSTP and CONT stop and continue the program" stops_and_continues
measured "inherited signal mask and ignored signals" signal_state
measured "reaps orphans when not PID 1" reaps_when_not_pid_1
measured "LISTEN_PID names the program" listen_pid
measured "open descriptors, given two and the three standard ones" holds_descriptors
measured "orphans not reaped in $SECONDS_OF_FORKS s of forking" orphans
wakeups=(); memory=()
for program in "${programs[@]}"; do read -r w m < <(idle "$program" | tail -n 1); wakeups+=("$w"); memory+=("$m kB"); done
row "wake-ups in $SECONDS_IDLE s without work" "${wakeups[@]}"
row "anonymous memory" "${memory[@]}"
both() { echo "$(ratio "${median[$1]}" "${median[$2]}") / $(ratio "${low[$1]}" "${low[$2]}")"; }
row "duration of a run of \`true\`, relative to plain \`true\`: median / fastest tenth" "$(both 1 0)" "$(both 2 0)" "$(both 3 0)" "$(both 4 0)"
echo
printf '[server]\nmode = "supervise"\n[[step]]\nname = "one"\ncommand.run = ["true"]\n' > "$folder/supervise.toml"
read -r w m < <(idle supervise | tail -n 1)
echo "run with mode = \"supervise\", after its steps: $w wake-ups in $SECONDS_IDLE s, $m kB of anonymous memory"
echo "init -- true: $(ratio "${median[4]}" "${median[1]}") of tini's time (fastest tenth: $(ratio "${low[4]}" "${low[1]}"))"
echo "run -- true:  $(ratio "${median[5]}" "${median[1]}") of tini's time (fastest tenth: $(ratio "${low[5]}" "${low[1]}"))"
echo "TERM lost between exec and the server's own handler: $(lost_terms "$PORTCULLIS" run --no-config --)"
echo "TERM lost with tini in front:                        $(lost_terms tini --)"
echo "TERM lost with init in front:                        $(lost_terms "$PORTCULLIS" init --)"
