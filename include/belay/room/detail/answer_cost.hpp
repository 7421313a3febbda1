// SPDX-License-Identifier: MIT
/// \file belay/room/detail/answer_cost.hpp
/// pieces_cost, answer_cost, request_cost, merges_of: the costs of comparing and merging documents.
#pragma once

#include <concepts>  // std::derived_from
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t

#include <belay/room/detail/client_connection.hpp>
#include <belay/room/room_options.hpp>
#include <belay/yjs/yjs_document.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
/// Returns what `bytes` that are compared or sent cost, in bytes that could be read.
[[nodiscard]] inline std::size_t pieces_cost(std::size_t bytes,
                                             const RoomOptions& options) noexcept {
    return (1 + bytes / options.piece_bytes_max) * ReadCost::piece;
}
/// Returns what an answer to a state vector costs at most.
template <class Document>
[[nodiscard]] std::size_t answer_cost(const Document& document,
                                      const RoomOptions& options) noexcept {
    return pieces_cost(document.bytes(), options);
}
/// Returns what the state vector of a document costs: as much, if the document must be merged.
template <class Document>
[[nodiscard]] std::size_t request_cost(const Document& document,
                                       const RoomOptions& options) noexcept {
    return is_merged(document) ? ReadCost::piece : answer_cost(document, options);
}

}}}  // namespace belay::detail
