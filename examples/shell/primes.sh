#!/bin/sh
# Counts the primes in this rank's share of the numbers; the first parameter is the size of a share.
set -eu

share=${PESC_PARAMETERS:-1000}
first=$((PESC_RANK * share))
last=$((first + share - 1))
count=0
number=$first
while [ "$number" -le "$last" ]; do
    divisor=2
    prime=$((number > 1))
    while [ $((divisor * divisor)) -le "$number" ]; do
        if [ $((number % divisor)) -eq 0 ]; then
            prime=0
            break
        fi
        divisor=$((divisor + 1))
    done
    count=$((count + prime))
    number=$((number + 1))
done

echo "$first to $last: $count primes" > "$PESC_OUTPUT_DIR/output.txt"
