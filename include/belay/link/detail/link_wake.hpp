// SPDX-License-Identifier: MIT
/// \file belay/link/detail/link_wake.hpp
/// LinkWake: how an answer reaches the connection that asked.
#pragma once

#include <belay/core/completion.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Wakes the connection that asked, by its link: an attempt that is over is not woken.
template <class M>
struct LinkWake {
    Link<M> link;
    void operator()(const auto&) const noexcept { link.wake(); }
};

/// A question of a connection, whose `deadline()` is part of its own.
template <class V, class M>
using AskingByLink = Asking<V, LinkWake<M>>;

}}}  // namespace belay::detail
