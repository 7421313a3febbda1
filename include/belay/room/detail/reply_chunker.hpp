// SPDX-License-Identifier: MIT
/// \file belay/room/detail/reply_chunker.hpp
/// ReplyChunker: cuts a large answer to a state vector while it is sent.
#pragma once

#include <cstddef>      // std::size_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/room/detail/user_shares.hpp>
#include <belay/yjs/detail/yjs_split.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A Yjs update in parts. `next()` cuts one part, so that other clients do not wait for all of
/// them.
///
/// Pinned.   Thread safety: none.
class ReplyChunker {
public:
    /// The size of a part, and the work on answers in one turn.
    static constexpr std::size_t part_bytes = std::size_t{1} << 20;

    /// `update` was checked; `held` counts its bytes for as long as this lives, and `shares` counts
    /// them for `owner`.
    ReplyChunker(Bytes update, std::size_t& held, UserShares& shares, std::string_view owner)
        : update_{std::move(update)},
          held_{&held},
          share_{shares, owner, update_.size()},
          splitter_{update_, part_bytes},
          ahead_{splitter_.next()} {
        *held_ += update_.size();
    }
    ReplyChunker(const ReplyChunker&) = delete;
    ReplyChunker& operator=(const ReplyChunker&) = delete;
    ~ReplyChunker() { *held_ -= update_.size(); }

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
    UserShares::Reservation share_;
    yjs::detail::Splitter splitter_;
    std::optional<Bytes> ahead_;
};

}}}  // namespace belay::detail
