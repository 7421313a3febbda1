// SPDX-License-Identifier: MIT
/// \file belay/libc_sim/detail/signals.hpp
/// libc_symbols: the action and the mask of a simulated program for SIGPIPE, the only signal of a
/// world.
#pragma once

#include <signal.h>  // sigaction

#include <belay/libc_sim/detail/symbols.hpp>

// Shared libraries find only visible symbols. -fvisibility-inlines-hidden must not hide them.
#define BELAY_DETAIL_SYMBOL [[gnu::used, gnu::visibility("default")]]

namespace belay { inline namespace BELAY_ABI { namespace detail { namespace libc_symbols {

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

BELAY_DETAIL_SYMBOL inline LibcHandler signal(int, LibcHandler) asm("signal");
inline LibcHandler signal(int number, LibcHandler handler) {
    LibcProcess* const p = LibcProcess::current();
    if (p != nullptr && number == SIGPIPE) return set_pipe_handler(*p, handler, SA_RESTART);
    return libc_real<"signal", LibcHandler>(number, handler);
}
// Other names of signal().
BELAY_DETAIL_SYMBOL inline LibcHandler bsd_signal(int, LibcHandler) asm("bsd_signal");
inline LibcHandler bsd_signal(int number, LibcHandler handler) {
    return libc_symbols::signal(number, handler);
}
BELAY_DETAIL_SYMBOL inline LibcHandler ssignal(int, LibcHandler) asm("ssignal");
inline LibcHandler ssignal(int number, LibcHandler handler) {
    return libc_symbols::signal(number, handler);
}
// The meaning of signal() without the extensions of GNU and BSD: the handler counts once.
BELAY_DETAIL_SYMBOL inline LibcHandler sysv_signal(int, LibcHandler) asm("__sysv_signal");
inline LibcHandler sysv_signal(int number, LibcHandler handler) {
    LibcProcess* const p = LibcProcess::current();
    if (p != nullptr && number == SIGPIPE) {
        return set_pipe_handler(*p, handler, static_cast<int>(SA_RESETHAND | SA_NODEFER));
    }
    return libc_real<"__sysv_signal", LibcHandler>(number, handler);
}
BELAY_DETAIL_SYMBOL inline int sigaction(int, const struct sigaction*,
                                         struct sigaction*) asm("sigaction");
inline int sigaction(int number, const struct sigaction* action, struct sigaction* old) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || number != SIGPIPE) {
        return libc_real<"sigaction", int>(number, action, old);
    }
    const struct sigaction before = p->pipe_action().get();
    if (action != nullptr) p->pipe_action().set(*action);
    if (old != nullptr) *old = before;
    return 0;
}

// ---- the functions of System V ------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline LibcHandler sigset(int, LibcHandler) asm("sigset");
inline LibcHandler sigset(int number, LibcHandler handler) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || number != SIGPIPE) {
        return libc_real<"sigset", LibcHandler>(number, handler);
    }
    const bool holds = handler == SIG_HOLD;
    const LibcHandler before =
        holds ? p->pipe_action().get().sa_handler : set_pipe_handler(*p, handler, 0);
    return block_pipe(*p, holds) ? SIG_HOLD : before;
}
BELAY_DETAIL_SYMBOL inline int sigignore(int) asm("sigignore");
inline int sigignore(int number) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || number != SIGPIPE) return libc_real<"sigignore", int>(number);
    set_pipe_handler(*p, SIG_IGN, 0);
    return 0;
}
BELAY_DETAIL_SYMBOL inline int sighold(int) asm("sighold");
inline int sighold(int number) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || number != SIGPIPE) return libc_real<"sighold", int>(number);
    block_pipe(*p, true);
    return 0;
}
BELAY_DETAIL_SYMBOL inline int sigrelse(int) asm("sigrelse");
inline int sigrelse(int number) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr || number != SIGPIPE) return libc_real<"sigrelse", int>(number);
    block_pipe(*p, false);
    return 0;
}

// ---- the mask -----------------------------------------------------------------------------------

BELAY_DETAIL_SYMBOL inline int pthread_sigmask(int, const sigset_t*,
                                               sigset_t*) asm("pthread_sigmask");
/// Returns an error, not errno.
inline int pthread_sigmask(int how, const sigset_t* set, sigset_t* old) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return libc_real<"pthread_sigmask", int>(how, set, old);
    const sigset_t before = p->pipe_action().mask();
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
        p->pipe_action().set_mask(*p, mask);
    }
    if (old != nullptr) *old = before;
    return 0;
}
BELAY_DETAIL_SYMBOL inline int sigprocmask(int, const sigset_t*, sigset_t*) asm("sigprocmask");
inline int sigprocmask(int how, const sigset_t* set, sigset_t* old) {
    const int error = libc_symbols::pthread_sigmask(how, set, old);
    return error == 0 ? 0 : libc_fail(error);
}
BELAY_DETAIL_SYMBOL inline int sigpending(sigset_t*) asm("sigpending");
inline int sigpending(sigset_t* out) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return libc_real<"sigpending", int>(out);
    sigemptyset(out);
    if (p->pipe_action().pending()) sigaddset(out, SIGPIPE);
    return 0;
}
/// Takes a signal that was blocked. It does not wait, since no other program sends one.
BELAY_DETAIL_SYMBOL inline int sigtimedwait(const sigset_t*, siginfo_t*,
                                            const timespec*) asm("sigtimedwait");
inline int sigtimedwait(const sigset_t* set, siginfo_t* info, const timespec* limit) {
    LibcProcess* const p = LibcProcess::current();
    if (p == nullptr) return libc_real<"sigtimedwait", int>(set, info, limit);
    if (!p->pipe_action().pending() || sigismember(set, SIGPIPE) != 1) {
        if (limit != nullptr && limit->tv_sec == 0 && limit->tv_nsec == 0) return libc_fail(EAGAIN);
        p->refuse("called \"sigtimedwait\" to wait for a signal, which a world does not have");
    }
    p->pipe_action().forget_pending();
    if (info != nullptr) {
        *info = {};
        info->si_signo = SIGPIPE;
    }
    return SIGPIPE;
}

}}}}  // namespace belay::detail::libc_symbols

#undef BELAY_DETAIL_SYMBOL
