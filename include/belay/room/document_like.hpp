// SPDX-License-Identifier: MIT
/// \file belay/room/document_like.hpp
/// DocumentLike: what a room keeps of its document, whatever the editors make of it.
#pragma once

#include <concepts>      // std::same_as, std::convertible_to, std::copyable
#include <cstddef>       // std::size_t
#include <span>          // std::span
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

BELAY_DETAIL_MEMBER(state_vector);
BELAY_DETAIL_MEMBER(diff);

template <class T>
concept ErrorOfDocument = std::convertible_to<T, std::error_code>;
/// A Result of T, or what has its members.
template <class R, class T>
concept ResultOfDocument = requires(R&& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *static_cast<R&&>(r) } -> std::convertible_to<T>;
    { r.error() } -> ErrorOfDocument;
};

template <class D>
concept ChecksUpdate = requires(D& document, BytesView update) {
    { document.check(update) } -> ResultOfDocument<bool>;
};
template <class D>
concept AppliesUpdate = requires(D& document, BytesView update) {
    { document.apply(update) } -> ErrorOfDocument;
};
template <class D>
concept GivesSnapshot = requires(D& document) {
    { document.snapshot() } -> std::same_as<std::span<const Bytes>>;
};
template <class D>
concept CountsDocumentBytes = requires(const D& document) {
    { document.bytes() } noexcept -> std::same_as<std::size_t>;
};
template <class D>
concept GivesStateVector = requires(D& document) {
    { document.state_vector() } -> std::same_as<Bytes>;
};
template <class D>
concept GivesDiff = requires(D& document, BytesView state_vector) {
    { document.diff(state_vector) } -> ResultOfDocument<Bytes>;
};
/// Answers a client with what it lacks, instead of all there is.
template <class D>
concept ComparesDocument = GivesStateVector<D> && GivesDiff<D>;
// One without the other would never be called, nor one of another form.
template <class D>
concept ComparisonIsSound = ComparesDocument<D> || !(has_state_vector<D>() || has_diff<D>());

}  // namespace detail

/// A document as a room sees it: updates of editors, which may come in any order, and twice.
///
/// - `check(BytesView update)`: of a peer. A `Result<bool>`: whether the update adds anything, or
///   why it is refused; limits are asked for here. What adds nothing need not be stored. It may
///   say true of what is there already, never false of what is not;
/// - `apply(BytesView update)`: what was checked, and made durable, or what a snapshot holds. An
///   error, converted to std::error_code, only where the bytes are damaged: no limit stands in
///   the way of what was stored;
/// - `snapshot()`: a `std::span<const Bytes>` of updates that, applied to an empty document, make
///   it again; valid until the next call of anything;
/// - `bytes() const noexcept`: the std::size_t that it keeps in memory;
/// - optional `state_vector()`, Bytes that say what it has, and `diff(BytesView state_vector)`, a
///   `Result<Bytes>`: the update that somebody lacks who has that. Without the two everybody who
///   joins is sent the whole.
///
/// A copy of an empty one begins each room.
///
/// Models: YjsDocument, OpaqueDocument.
template <class D>
concept DocumentLike =
    std::copyable<D> && detail::ChecksUpdate<D> && detail::AppliesUpdate<D> &&
    detail::GivesSnapshot<D> && detail::CountsDocumentBytes<D> && detail::ComparisonIsSound<D>;

namespace explain {

/// Names every requirement of DocumentLike that D lacks.
template <class D>
consteval bool document_like() {
    static_assert(std::copyable<D>, "DocumentLike: D must be copyable, each room begins with one");
    static_assert(detail::ChecksUpdate<D>,
                  "DocumentLike: D needs 'belay::Result<bool> check(belay::BytesView)'");
    static_assert(detail::AppliesUpdate<D>,
                  "DocumentLike: D needs 'std::error_code apply(belay::BytesView)'");
    static_assert(detail::GivesSnapshot<D>,
                  "DocumentLike: D needs 'std::span<const belay::Bytes> snapshot()'");
    static_assert(detail::CountsDocumentBytes<D>,
                  "DocumentLike: D needs 'std::size_t bytes() const noexcept'");
    static_assert(detail::ComparisonIsSound<D>,
                  "DocumentLike: 'belay::Bytes state_vector()' and 'belay::Result<belay::Bytes> "
                  "diff(belay::BytesView)' need each other");
    return DocumentLike<D>;
}

}  // namespace explain

}}  // namespace belay
