/* Members of a population, one after another through recorded steps: passes of layers, the output layer, and copies
   between them. Built as one text with product.c and output.c; see one_by_one.py. */

#include <time.h>

typedef struct {
    void (*run)(long k, const void *what);
    const void *what;
    long part; /* index of its time */
} step;

static double cpu_time(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}

/* Members `first` to `last` through all steps. CPU seconds are added to `spent`, by part, unless it is null. */
void in_turn(long first, long last, long count, const step *steps, double *spent) {
    for (long k = first; k < last; k++)
        for (long i = 0; i < count; i++) {
            const double begun = spent ? cpu_time() : 0;
            steps[i].run(k, steps[i].what);
            if (spent) spent[steps[i].part] += cpu_time() - begun;
        }
}

/* Contiguous rows of `width` numbers, and the strides of members; the row that each step reads or adds to. */
typedef struct {
    real *to;
    long to_k;
    const real *from;
    long from_k;
    const int64_t *which;
    long rows, width;
} moved;

void zero(long k, const moved *m) { memset(m->to + k * m->to_k, 0, m->rows * m->width * sizeof(real)); }

void copy(long k, const moved *m) {
    memcpy(m->to + k * m->to_k, m->from + k * m->from_k, m->rows * m->width * sizeof(real));
}

void look_up(long k, const moved *m) {
    const real *const from = m->from + k * m->from_k;
    real *const to = m->to + k * m->to_k;
    for (long i = 0; i < m->rows; i++) memcpy(to + i * m->width, from + m->which[i] * m->width, m->width * sizeof(real));
}

void add_up(long k, const moved *m) {
    const real *restrict from = m->from + k * m->from_k;
    for (long i = 0; i < m->rows; i++, from += m->width) {
        real *restrict const to = m->to + k * m->to_k + m->which[i] * m->width;
        for (long h = 0; h < m->width; h++) to[h] += from[h];
    }
}
