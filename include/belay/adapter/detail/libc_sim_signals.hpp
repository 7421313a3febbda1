// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/libc_sim_signals.hpp
/// libc_symbols: what a simulated program does at SIGPIPE, the only signal of a world.
#pragma once

#include <signal.h>  // sigaction

#include <belay/adapter/detail/libc_sim_symbols.hpp>

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

BELAY_DETAIL_SYMBOL inline LibcHandler signal(int, LibcHandler) asm("signal");
inline LibcHandler signal(int number, LibcHandler handler) {
    LibcProcess* const p = LibcProcess::current();
    if (p != nullptr && number == SIGPIPE) return set_pipe_handler(*p, handler, SA_RESTART);
    return libc_real<"signal", LibcHandler>(number, handler);
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

}}}}  // namespace belay::detail::libc_symbols

#undef BELAY_DETAIL_SYMBOL
