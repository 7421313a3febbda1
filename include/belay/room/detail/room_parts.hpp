// SPDX-License-Identifier: MIT
/// \file belay/room/detail/room_parts.hpp
/// RoomParts: what a client lacks of a large document, cut as it is sent.
#pragma once

#include <cstddef>   // std::size_t
#include <optional>  // std::optional
#include <utility>   // std::move

#include <belay/yjs/detail/yjs_split.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A Yjs update in parts, each cut when it is asked for: nobody waits until all of them are.
///
/// Pinned.   Thread safety: none.
class RoomParts {
public:
    /// Of each part, and of what is done for answers before others have their turn.
    static constexpr std::size_t part_bytes = std::size_t{1} << 20;

    /// `update` was checked; `held` counts its bytes for as long as this lives.
    RoomParts(Bytes update, std::size_t& held)
        : update_{std::move(update)},
          held_{&held},
          splitter_{update_, part_bytes},
          ahead_{splitter_.next()} {
        *held_ += update_.size();
    }
    RoomParts(const RoomParts&) = delete;
    RoomParts& operator=(const RoomParts&) = delete;
    ~RoomParts() { *held_ -= update_.size(); }

    [[nodiscard]] bool has_more() const noexcept { return ahead_.has_value(); }
    /// Pre: has_more().
    [[nodiscard]] Bytes next() {
        Bytes part = std::move(*ahead_);
        ahead_ = splitter_.next();
        return part;
    }

private:
    const Bytes update_;
    std::size_t* held_;
    yjs::detail::Splitter splitter_;
    std::optional<Bytes> ahead_;
};

}}}  // namespace belay::detail
