#!/bin/sh
# Counts the words of the book it is given.
set -eu
echo "$1: $(wc -w < "$1" | tr -d ' ') words"
