// SPDX-License-Identifier: MIT
/// \file belay/room/detail/lag_difference.hpp
/// LagDifference: the updates that a slow client has missed, in parts that fit into its budget.
#pragma once

#include <algorithm>     // std::equal
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <map>           // std::map
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/yjs/detail/yjs_diff.hpp>
#include <belay/yjs/detail/yjs_split.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the state vector of a client that had `vector` and has received an update; none if that
/// is the same one. Only content that follows what the client had without a gap counts.
///
/// Pre: both were checked.   Complexity: O(n log m) for n structs and m clients.
[[nodiscard]] inline std::optional<Bytes> advanced_vector(BytesView vector, const Bytes& received) {
    const BytesView update{received};
    std::map<std::uint64_t, std::uint64_t> clocks;
    yjs::Lib0Reader in{vector};
    for (std::uint64_t left = in.varuint(); left != 0 && !in.failed(); --left) {
        const std::uint64_t client = in.varuint();
        clocks[client] = in.varuint();
    }
    yjs::detail::Sources sources{{&update, 1}};
    const auto error = yjs::detail::read_sources<false>(yjs::Limits::none(), sources);
    BELAY_INVARIANT(!in.failed() && !error, "advanced_vector: the bytes must have been checked");
    sources.sort_blocks();
    bool advances = false;
    for (yjs::detail::Block block : sources.blocks) {
        const auto found = clocks.find(block.client);
        std::uint64_t known = found == clocks.end() ? 0 : found->second;
        const std::uint64_t before = known;
        while (block.structs > 0) {
            const yjs::detail::Struct s = sources.take(block);
            if (s.kind() == yjs::detail::ref::skip || s.clock > known) break;
            if (s.clock_end() > known) known = s.clock_end();
        }
        if (known == before) continue;
        clocks[block.client] = known;
        advances = true;
    }
    if (!advances) return std::nullopt;
    Bytes out;
    yjs::append_varuint(out, clocks.size());
    for (const auto& [client, clock] : clocks) {
        yjs::append_varuint(out, client);
        yjs::append_varuint(out, clock);
    }
    return out;
}

/// Computes the difference between a document and a client, one part at a time. The client's state
/// vector is the only memory between two parts: the difference is computed again for the next one.
/// Clients of one room that lag from the same state share one computation: after a burst, those are
/// all of its readers.
///
/// Thread safety: the manager's home thread.
class LagDifference {
public:
    /// A part of a difference.
    struct Part {
        Bytes update;
        std::optional<Bytes> vector;  ///< the state vector after it; none: this is the last part
    };

    /// Returns the first part of what a client with the state vector `had` lacks. A part has at
    /// most `bytes_max` bytes, or one value that cannot be cut. Returns no part if no state vector
    /// could show how far the client is: only deletions are left, or content after a gap.
    ///
    /// Pre:    `bytes_max` is the same for all clients of a room.
    /// Errors: those of the document.
    template <class Document>
    [[nodiscard]] Result<std::optional<Part>> next(const void* room, Document& document,
                                                   BytesView had, std::size_t bytes_max) {
        if (room == room_ && std::equal(had.begin(), had.end(), from_.begin(), from_.end())) {
            work_ = kept_ ? kept_->update.size() / 8 : 0;
            return std::optional<Part>{kept_};
        }
        forget();
        work_ = document.bytes();
        auto diff = document.diff(had);
        if (!diff.has_value()) return static_cast<std::error_code>(diff.error());
        if (diff->size() <= bytes_max) {
            kept_ = Part{std::move(*diff), std::nullopt};
        } else if (auto first = yjs::detail::Splitter{*diff, bytes_max}.next()) {
            auto vector = advanced_vector(had, *first);
            if (vector) kept_ = Part{std::move(*first), std::move(vector)};
        }
        from_ = to_bytes(had);
        room_ = room;
        return std::optional<Part>{kept_};
    }
    /// Returns the bytes that the last call of `next` compared. For a part that was kept, an eighth
    /// of its bytes, which are copied only. It limits how many clients receive a part in one turn.
    [[nodiscard]] std::size_t work() const noexcept { return work_; }
    /// Drops the part that is kept for other clients.
    void forget() noexcept {
        room_ = nullptr;
        from_ = Bytes{};
        kept_.reset();
    }
    /// Drops it if it is of this room, because the document changes.
    void forget(const void* room) noexcept {
        if (room == room_) forget();
    }

private:
    const void* room_ = nullptr;
    Bytes from_{};                ///< the state vector that `kept_` follows
    std::optional<Part> kept_{};  ///< none: there is no part from there
    std::size_t work_ = 0;
};

}}}  // namespace belay::detail
