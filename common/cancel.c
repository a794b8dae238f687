/* SPDX-License-Identifier: Apache-2.0 */
/* The stop flag. Signal handlers are one-shot, so that a second signal always ends the process.
 *
 * SIGHUP is the exception: it stops the process only when it comes from the kernel, that is, when the
 * terminal went away. restic finds out whether the holder of a lock is alive by sending it a SIGHUP; that
 * must neither kill a backup nor stop it. */
#include "common/cancel.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "common/err.h"

static atomic_bool requested;

static void on_signal(int signal_number)
{
    (void)signal_number;
    atomic_store(&requested, true);
}

static void on_hangup(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number, (void)context;
    if (info->si_code == SI_KERNEL)
        atomic_store(&requested, true);
}

void cancel_on_signals(void)
{
    const int signals[] = {SIGINT, SIGTERM};
    struct sigaction hangup = {.sa_sigaction = on_hangup, .sa_flags = SA_SIGINFO | SA_RESTART}, before;
    if (sigaction(SIGHUP, &hangup, &before) == 0 && before.sa_handler == SIG_IGN)
        sigaction(SIGHUP, &before, NULL); /* nohup */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
        sigaction(signals[i], &action, NULL);
    }
}

void cancel_request(void)
{
    atomic_store(&requested, true);
}

bool cancel_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

int cancel_check(struct nacre_err *e)
{
    return cancel_requested() ? err_set(e, NACRE_CANCELLED, "interrupted") : 0;
}

int cancel_sleep(uint64_t milliseconds, bool (*cancelled)(void), struct nacre_err *e)
{
    if (!cancelled)
        cancelled = cancel_requested;
    for (;;) {
        if (cancelled())
            return err_set(e, NACRE_CANCELLED, "interrupted");
        if (!milliseconds)
            return 0;
        uint64_t step = milliseconds < 50 ? milliseconds : 50;
        nanosleep(&(struct timespec){.tv_nsec = (long)step * 1000000}, NULL);
        milliseconds -= step;
    }
}
