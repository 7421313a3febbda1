// SPDX-License-Identifier: MIT
/// \file belay/link/detail/supervisor_mistakes.hpp
/// NoMessage, accepts_message_type: the error for a message of another type.
#pragma once

#include <concepts>  // std::convertible_to, std::same_as

#include <belay/core/bytes.hpp>
#include <belay/link/event.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Neither a message of type M, nor a text for one.
template <class T, class M>
concept NoMessage = !std::convertible_to<const T&, const M&> && !TextForBytes<T, M>;

template <class T>
SendResult accepts_message_type() noexcept {
    static_assert(
        !std::same_as<T, T>,
        "Supervisor::send: the message must be of the transport's message_type; convert a view "
        "of bytes with belay::to_bytes(view)");
    return SendResult::rejected;
}
}  // namespace detail

}}  // namespace belay
