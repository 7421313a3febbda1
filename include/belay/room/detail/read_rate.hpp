// SPDX-License-Identifier: MIT
/// \file belay/room/detail/read_rate.hpp
/// ReadRate, ReadCost: how fast a connection or a user is served, and the cost of its messages.
#pragma once

#include <chrono>    // std::chrono::seconds
#include <concepts>  // std::derived_from
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <utility>   // std::exchange

#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The cost of messages, in the bytes that could be read in the time that the server needs for
/// them. Constants and not measured times, because a simulated run must be the same everywhere.
struct ReadCost {
    static constexpr std::size_t message = 256;
    static constexpr std::size_t token = std::size_t{64} << 10;
    /// The cost of an awareness state, or of a client to which a message is forwarded.
    static constexpr std::size_t recipient = 16;
    /// The cost of piece_bytes_max of an answer: they are compared, cut, framed and sent.
    static constexpr std::size_t piece = 4096;
};

/// How fast a connection is read: a bucket that fills at RoomOptions::read_rate_max.
///
/// Source: a token bucket, as the virtual scheduling form of GCRA (ITU-T I.371, annex A).
struct ReadRate {
    /// How long the bucket takes to fill. A client that was offline sends all that it has typed
    /// meanwhile at once.
    static constexpr Duration burst = std::chrono::seconds{4};

    /// Charges bytes. A connection without credit is read later.
    /// Returns: whether that begins now, after a second or more with credit.
    [[nodiscard]] bool charge(std::size_t bytes, Instant now, const RoomOptions& options) noexcept {
        const std::size_t rate = options.read_rate_max;
        if (bytes == 0) return false;
        const auto time_of = [&](std::size_t cost) {
            const Duration second{std::chrono::seconds{1}};
            const std::size_t whole = cost / rate;
            const std::size_t rest = cost % rate;
            return part::saturating_add(
                part::saturating_multiply(second, whole),
                Duration{static_cast<Duration::rep>(static_cast<double>(second.count()) *
                                                    static_cast<double>(rest) /
                                                    static_cast<double>(rate))});
        };
        paid_until = after(larger(paid_until, now), time_of(bytes));
        // It must be read again before it counts as silent.
        const Duration most = burst + options.heartbeat.every / 2;
        paid_until = smaller(paid_until, after(now, most));
        const Instant credit_at = before(paid_until, burst);
        if (credit_at <= now) return false;
        read_at = larger(read_at, credit_at);
        return elapsed(std::exchange(throttled_until, credit_at), now) >= std::chrono::seconds{1};
    }

    Instant read_at = always;     ///< nothing is read before
    Instant looked_at = always;   ///< when arrivals were last checked
    Instant paid_until = always;  ///< the time that its messages cost
    Instant throttled_until = always;
};

/// Whether the state vector of a document costs little: nothing waits to be merged.
template <class Document>
[[nodiscard]] bool is_merged(const Document& document) noexcept {
    if constexpr (std::derived_from<Document, YjsDocument>)
        return document.status().pending_updates == 0;
    else
        return true;
}
/// Returns how often a document has read all that it holds. An edit that makes it do so costs as
/// much as an answer.
template <class Document>
[[nodiscard]] std::uint64_t merges_of(const Document& document) noexcept {
    if constexpr (std::derived_from<Document, YjsDocument>)
        return document.status().merges;
    else
        return 0;
}
/// The size of the largest piece. A client that reads gets the next one soon.
inline constexpr std::size_t piece_bytes_max = std::size_t{64} << 10;
/// Returns the size of the pieces in which answers and awareness are sent. Some of them fit into
/// what may wait for a client, so it gets further ones while it reads.
[[nodiscard]] constexpr std::size_t piece_bytes(const RoomOptions& options) noexcept {
    return larger(smaller(options.client_bytes_max / 16, piece_bytes_max), std::size_t{1} << 10);
}
/// Returns what `bytes` that are compared or sent cost, in bytes that could be read. The size of
/// the pieces does not matter, so that no other option changes what read_rate_max means.
[[nodiscard]] constexpr std::size_t pieces_cost(std::size_t bytes) noexcept {
    return (1 + bytes / piece_bytes_max) * ReadCost::piece;
}
/// Returns what an answer to a state vector costs at most.
template <class Document>
[[nodiscard]] std::size_t answer_cost(const Document& document) noexcept {
    return pieces_cost(document.bytes());
}
/// Returns what the state vector of a document costs: as much, if the document must be merged.
template <class Document>
[[nodiscard]] std::size_t request_cost(const Document& document) noexcept {
    return is_merged(document) ? ReadCost::piece : answer_cost(document);
}

}}}  // namespace belay::detail
