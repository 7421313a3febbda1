// SPDX-License-Identifier: MIT
/// \file belay/session/detail/credit.hpp
/// Credit: how far a sender may go.
#pragma once

#include <cstdint>  // std::uint64_t

namespace belay::inline BELAY_ABI::detail {

/// The last operation's number, and the bytes of one attachment, that a receiver takes.
struct Credit {
    std::uint64_t number_limit = 0;
    std::uint64_t byte_limit = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
