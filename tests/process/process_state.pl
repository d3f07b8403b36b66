# Prints every visible attribute of its process that survives exec. It uses no shell, because a shell changes its own
# signal state.
use strict;
sub of { open my $file, '<', "/proc/self/$_[0]" or return "no $_[0]: $!\n"; local $/; <$file> }
print grep { /^(Sig[PBIC]|Shd|Cap|NoNewPrivs|Seccomp|Threads|Umask|Groups|Uid|Gid)/ } map { "$_\n" } split /\n/, of('status');
print of('limits'), of('oom_score_adj'), of('timerslack_ns'), of('timers');
my @stat = split / /, of('stat');
print "pid, parent, group, session, terminal, foreground: @stat[0, 3 .. 7]; nice @stat[18]\n";
opendir my $folder, '/proc/self/fd';
my $folder_id = fileno $folder;
for my $fd (sort { $a <=> $b } grep { /\d/ && $_ != fileno $folder } readdir $folder) {
    my $target = readlink "/proc/self/fd/$fd";
    next if $target =~ /process_state\.pl$/;
    print "$fd ", $target =~ s/\d+//gr, ' ', of("fdinfo/$fd") =~ /^(flags:.*)$/m, "\n";
}
my $flag = pack 'i', -1;
syscall 157, 37, unpack('Q', pack 'P', $flag), 0, 0, 0 if (split / /, `uname -m`)[0] =~ /x86_64/;
print 'subreaper ', unpack('i', $flag), "\n";
print "@ARGV\n", readlink('/proc/self/cwd'), "\n";
print map { "$_=$ENV{$_}\n" } grep { !/^(SHLVL|_)$/ } sort keys %ENV;
