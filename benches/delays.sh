#!/usr/bin/env bash
# Prints the log after a TERM with times: for a step that rolls back for a second, and for one that ignores TERM until
# its grace ends. Fails if the order of the lines is wrong. Needs root.
# usage: benches/delays.sh [target/release/portcullis]
set -euo pipefail

portcullis=$(realpath "${1:-target/release/portcullis}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# after_term TITLE SCRIPT GRACE EXPECTED...: the expected texts must be logged in this order.
after_term() {
  local title=$1 script=$2 grace=$3
  shift 3
  printf '[[step]]\nname = "step"\ncommand = { run = ["bash", "-c", """%s"""], grace = "%s" }\n' "$script" "$grace" >"$folder/config.toml"
  echo "$title"
  perl -MTime::HiRes=time -e '
    my ($portcullis, $config, @expected) = @ARGV; my ($sent, $pid);
    $pid = open my $output, "-|";
    if (!$pid) { open STDERR, ">&", \*STDOUT;
      exec qw(unshare --pid --fork --kill-child --mount-proc), $portcullis, "run", "--config", $config, "--", "true" or die }
    while (my $line = <$output>) {
      chomp $line;
      if ($sent) { printf "%7.1f ms  %s\n", 1e3 * (time - $sent), $line if $line =~ /\S/;
        shift @expected if @expected && index($line, $expected[0]) >= 0 }
      elsif ($line =~ /step is up/) { open my $list, "<", "/proc/$pid/task/$pid/children"; my ($init) = split " ", <$list>;
        $sent = time; kill TERM => $init; print "    0.0 ms  TERM is sent\n" } }
    close $output; printf "%7.1f ms  the namespace is gone, code %d\n\n", 1e3 * (time - $sent), $? >> 8;
    die "not as expected: $expected[0]\n" if @expected; exit($? >> 8 == 143 ? 0 : 1)' \
    "$portcullis" "$folder/config.toml" "$@"
}

after_term "A step that rolls back for a second; grace 8 s:" \
  "trap 'echo rolling back; sleep 1; echo rolled back; exit 1' TERM; echo step is up; while :; do sleep 0.01; done" 8s \
  "SIGTERM arrived" "rolling back" "rolled back" "exit 143"
after_term "A step whose members ignore TERM, one in another session; grace 1.5 s:" \
  "trap '' TERM; (setsid sleep 1000 &) ; echo step is up; sleep 1000" 1500ms \
  "SIGTERM arrived" "was killed" "exit 143"
