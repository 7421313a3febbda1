// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/signals.hpp
/// libc_signals: the action and the mask of a simulated program for SIGPIPE, the only signal of a
/// world.
#pragma once

#include <signal.h>  // sigaction

#include <cstring>  // strsignal
#include <string>   // std::string

#include <belay/libc_sim/detail/process.hpp>
#include <belay/libc_sim/detail/real.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_signals {

using LibcHandler = void (*)(int);

/// Sets the handler of SIGPIPE of a program.   Returns: the one before.
inline LibcHandler set_pipe_handler(LibcProcess& p, LibcHandler handler, int flags) noexcept {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    return p.pipe_action().set(action).sa_handler;
}

/// Blocks SIGPIPE, or lets it through.   Returns: whether it was blocked.
inline bool block_pipe(LibcProcess& p, bool on) {
    const bool before = p.pipe_action().blocked();
    sigset_t mask = p.pipe_action().mask();
    on ? sigaddset(&mask, SIGPIPE) : sigdelset(&mask, SIGPIPE);
    p.pipe_action().set_mask(p, mask);
    return before;
}

inline LibcHandler signal(LibcProcess& p, int number, LibcHandler handler) {
    if (number != SIGPIPE) return libc_real<"signal", LibcHandler>(number, handler);
    return set_pipe_handler(p, handler, SA_RESTART);
}
// The meaning of signal() without the extensions of GNU and BSD: the handler counts once.
inline LibcHandler sysv_signal(LibcProcess& p, int number, LibcHandler handler) {
    if (number != SIGPIPE) return libc_real<"__sysv_signal", LibcHandler>(number, handler);
    return set_pipe_handler(p, handler, static_cast<int>(SA_RESETHAND | SA_NODEFER));
}
inline int sigaction(LibcProcess& p, int number, const struct sigaction* action,
                     struct sigaction* old) {
    if (number != SIGPIPE) return libc_real<"sigaction", int>(number, action, old);
    const struct sigaction before = p.pipe_action().get();
    if (action != nullptr) p.pipe_action().set(*action);
    if (old != nullptr) *old = before;
    return 0;
}

inline int raise(LibcProcess& p, int number) {
    if (number != SIGPIPE) {
        p.refuse("raised the signal " + std::to_string(number) + " (" + ::strsignal(number) +
                 "), which a world does not have");
    }
    p.pipe_action().raise(p);
    return 0;
}
/// Without a signal, it looks for a process: the host has this program only, with its group.
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): the parameters of the C library
inline int kill(LibcProcess& p, int pid, int number) {
    if (number != 0) p.refuse_call("");
    return pid <= 0 || pid == p.state().pid() ? 0 : libc_fail(ESRCH);
}

// ---- the functions of System V ------------------------------------------------------------------

inline LibcHandler sigset(LibcProcess& p, int number, LibcHandler handler) {
    if (number != SIGPIPE) return libc_real<"sigset", LibcHandler>(number, handler);
    const bool holds = handler == SIG_HOLD;
    const LibcHandler before =
        holds ? p.pipe_action().get().sa_handler : set_pipe_handler(p, handler, 0);
    return block_pipe(p, holds) ? SIG_HOLD : before;
}
inline int sigignore(LibcProcess& p, int number) {
    if (number != SIGPIPE) return libc_real<"sigignore", int>(number);
    set_pipe_handler(p, SIG_IGN, 0);
    return 0;
}
inline int sighold(LibcProcess& p, int number) {
    if (number != SIGPIPE) return libc_real<"sighold", int>(number);
    block_pipe(p, true);
    return 0;
}
inline int sigrelse(LibcProcess& p, int number) {
    if (number != SIGPIPE) return libc_real<"sigrelse", int>(number);
    block_pipe(p, false);
    return 0;
}

// ---- the mask -----------------------------------------------------------------------------------

/// Returns an error, not errno.
inline int pthread_sigmask(LibcProcess& p, int how, const sigset_t* set, sigset_t* old) {
    const sigset_t before = p.pipe_action().mask();
    if (set != nullptr) {
        sigset_t mask = *set;
        if (how == SIG_BLOCK) sigorset(&mask, &before, set);
        if (how == SIG_UNBLOCK) {
            for (int number = 1; number < NSIG; ++number) {
                const bool blocked =
                    sigismember(&before, number) == 1 && sigismember(set, number) == 0;
                blocked ? sigaddset(&mask, number) : sigdelset(&mask, number);
            }
        }
        if (how != SIG_BLOCK && how != SIG_UNBLOCK && how != SIG_SETMASK) return EINVAL;
        p.pipe_action().set_mask(p, mask);
    }
    if (old != nullptr) *old = before;
    return 0;
}
inline int sigprocmask(LibcProcess& p, int how, const sigset_t* set, sigset_t* old) {
    const int error = libc_signals::pthread_sigmask(p, how, set, old);
    return error == 0 ? 0 : libc_fail(error);
}
inline int sigpending(LibcProcess& p, sigset_t* out) {
    sigemptyset(out);
    if (p.pipe_action().pending()) sigaddset(out, SIGPIPE);
    return 0;
}
/// Takes a signal that was blocked. It does not wait, since no other program sends one.
inline int sigtimedwait(LibcProcess& p, const sigset_t* set, siginfo_t* info,
                        const timespec* limit) {
    if (!p.pipe_action().pending() || sigismember(set, SIGPIPE) != 1) {
        if (limit != nullptr && limit->tv_sec == 0 && limit->tv_nsec == 0) return libc_fail(EAGAIN);
        p.refuse("called \"sigtimedwait\" to wait for a signal, which a world does not have");
    }
    p.pipe_action().forget_pending();
    if (info != nullptr) {
        *info = {};
        info->si_signo = SIGPIPE;
    }
    return SIGPIPE;
}

}}}}  // namespace belay::detail::libc_signals
