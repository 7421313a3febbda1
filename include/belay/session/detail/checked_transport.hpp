// SPDX-License-Identifier: MIT
/// \file belay/session/detail/checked_transport.hpp
/// CheckedTransport: a session's transport, with the check that greets the receiver.
#pragma once

#include <utility>  // std::move

#include <belay/link/validated.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Puts a check into a transport. It is specialised for a decorator that must stay the outermost.
template <class Transport, class Check>
struct CheckedTransport {
    using type = Validated<Transport, Check>;
    [[nodiscard]] static type make(Transport transport, Check check) {
        return {std::move(transport), std::move(check)};
    }
};

}}}  // namespace belay::detail
