# shellcheck shell=bash
# Records the tests and steps that a machine cannot run, and why. Sourced by scripts/check.
#
# CHECK_LEFT_OUT names the file that collects them. A line has the lacking thing, a tab, and the
# test or step. Tests write it too (tests/spec/left_out.rs). The name of a test contains a colon;
# the name of a step does not.

# left_out LACKING WHAT: records one step, or a part of one, that this machine cannot run.
left_out() {
    echo "left out: $2: $1" >&2
    printf '%s\t%s\n' "$1" "$2" >>"${CHECK_LEFT_OUT:-/dev/null}"
}

# last_line FILE: prints the gate's last line.
last_line() {
    awk -F '\t' '
        # Some tests run in several steps of the gate.
        seen[$0]++ { next }
        {
            if (!($1 in kinds)) order[++kinds_seen] = $1
            kinds[$1]
            total++
            if ($2 ~ /:/) tests[$1]++
            else steps[$1] = steps[$1] (steps[$1] == "" ? "" : ", ") $2
        }
        END {
            if (total == 0) { print "check: everything passed, nothing left out"; exit }
            printf "check: everything passed, %d left out: ", total
            for (n = 1; n <= kinds_seen; n++) {
                lacking = order[n]
                said = steps[lacking]
                if (lacking in tests) {
                    count = tests[lacking] (tests[lacking] == 1 ? " test" : " tests")
                    said = said (said == "" ? "" : ", ") count
                }
                printf "%s%s (%s)", (n == 1 ? "" : ", "), lacking, said
            }
            print ""
        }' "$1"
}
