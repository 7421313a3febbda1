// SPDX-License-Identifier: MIT
/// \file belay/link/detail/link_wake.hpp
/// LinkWake: notifies the connection that made a request of its reply.
#pragma once

#include <belay/core/completion.hpp>
#include <belay/link/link.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Wakes the connection by its link. An attempt that is over is not woken.
template <class M>
struct LinkWake {
    Link<M> link;
    void operator()(const auto&) const noexcept { link.wake(); }
};

/// A request of a connection. Its `deadline()` is part of that of the connection.
template <class V, class M>
using AskingByLink = Asking<V, LinkWake<M>>;

}}}  // namespace belay::detail
