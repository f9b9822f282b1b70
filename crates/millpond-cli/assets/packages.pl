#!/usr/bin/perl
# The packages installed on a Debian system as JSON: every field that dpkg knows of each, and the size, mode
# and time of each of its files.
# Usage: packages.pl [MOST_BYTES] > packages.json
use strict;
use warnings;

my $most = shift // 3_000_000;
my %escapes = ('"' => '\"', '\\' => '\\\\', "\n" => '\n', "\t" => '\t');

sub text {
    my ($text) = @_;
    $text =~ s/(["\\\n\t])/$escapes{$1}/g;
    $text =~ s/[\x00-\x1f]/ /g;
    return "\"$text\"";
}

sub file {
    my ($path) = @_;
    my ($mode, $size, $time) = (stat $path)[2, 7, 9];
    return sprintf '{"path": %s, "bytes": %d, "mode": "%o", "changed": %d}', text($path), $size, $mode & 07777, $time;
}

sub files {
    my ($package, $architecture) = @_;
    for my $name ("$package:$architecture", $package) {
        open my $list, '<', "/var/lib/dpkg/info/$name.list" or next;
        chomp(my @paths = <$list>);
        return map { file($_) } grep { -f } @paths;
    }
    return ();
}

open my $status, '<', '/var/lib/dpkg/status' or die "packages.pl: this is no Debian system: $!\n";
local $/ = '';    # one package at a time
my ($written, $separator) = (0, "[\n");
while (my $entry = <$status>) {
    my %fields = $entry =~ /^([A-Za-z-]+): *(.*(?:\n[ \t].*)*)/mg;
    my @fields = map { text($_) . ': ' . text($fields{$_}) } sort keys %fields;
    local $/ = "\n";
    my @files = files($fields{Package}, $fields{Architecture} // '');
    my $object = '{' . join(', ', @fields, '"Files": [' . join(', ', @files) . ']') . '}';
    next if $written + length($object) > $most;
    print $separator, $object;
    $written += length($object) + 2;
    $separator = ",\n";
}
print "\n]\n";
