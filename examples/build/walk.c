/* A random walk of many steps; how far from home it ends. The same file runs on a laptop: cc -o walk walk.c -lm */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static const char *told(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value ? value : otherwise;
}

int main(void) {
    int rank = atoi(told("PESC_RANK", "0"));
    long steps = atol(told("PESC_PARAMETERS", "1000000"));
    long x = 0, y = 0;

    state = 88172645463325252ULL + 1000003ULL * rank;
    for (long step = 0; step < steps; step++) {
        switch (next() & 3) {
            case 0: x++; break;
            case 1: x--; break;
            case 2: y++; break;
            default: y--;
        }
    }

    char path[4096];
    snprintf(path, sizeof path, "%s/output.txt", told("PESC_OUTPUT_DIR", "."));
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        return 1;
    }
    fprintf(out, "walk %d ended %.1f away\n", rank, hypot(x, y));
    return fclose(out) ? 1 : 0;
}
