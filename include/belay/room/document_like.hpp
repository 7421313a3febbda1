// SPDX-License-Identifier: MIT
/// \file belay/room/document_like.hpp
/// DocumentLike: the document of a room, independent of its CRDT.
#pragma once

#include <concepts>      // std::same_as, std::convertible_to, std::copyable
#include <cstddef>       // std::size_t
#include <span>          // std::span
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class T>
concept ErrorOfDocument = std::convertible_to<T, std::error_code>;
/// A Result of T, or a type with its members.
template <class R, class T>
concept ResultOfDocument = requires(const R& r) {
    { r.has_value() } -> std::convertible_to<bool>;
    { *r } -> std::convertible_to<T>;
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

}  // namespace detail

/// The document of a room, made of updates that may arrive in any order, and twice.
///
/// - `check(BytesView update)`: checks an update of a peer. It returns a `Result<bool>`: whether
///   the update adds anything, or why it is rejected. Limits are checked here. Updates that add
///   nothing need not be stored. The result may be true for an update that the document already
///   has, but never false for one that it lacks.
/// - `apply(BytesView update)`: adds an update that was checked and made durable, or that is part
///   of a snapshot. It returns an error, convertible to std::error_code, only if the bytes are
///   damaged. It must not reject stored updates because of a limit.
/// - `snapshot()`: returns a `std::span<const Bytes>` of updates that make the document again when
///   they are applied to an empty one. The span is valid until the next call of any member.
/// - `bytes() const noexcept`: returns the number of bytes that the document keeps in memory, a
///   std::size_t.
/// - `state_vector()`: returns Bytes that describe what the document has.
/// - `diff(BytesView state_vector)`: returns a `Result<Bytes>` with the update that a peer with
///   this state vector lacks.
///
/// Each room begins with a copy of an empty document.
///
/// Models: YjsDocument.
template <class D>
concept DocumentLike = std::copyable<D> && detail::ChecksUpdate<D> && detail::AppliesUpdate<D> &&
                       detail::GivesSnapshot<D> && detail::CountsDocumentBytes<D> &&
                       detail::GivesStateVector<D> && detail::GivesDiff<D>;

namespace explain {

/// Names every requirement of DocumentLike that D lacks.
template <class D>
consteval bool document_like() {
    static_assert(std::copyable<D>,
                  "DocumentLike: D must be copyable, because each room starts with a copy");
    static_assert(detail::ChecksUpdate<D>,
                  "DocumentLike: D needs 'belay::Result<bool> check(belay::BytesView)'");
    static_assert(detail::AppliesUpdate<D>,
                  "DocumentLike: D needs 'std::error_code apply(belay::BytesView)'");
    static_assert(detail::GivesSnapshot<D>,
                  "DocumentLike: D needs 'std::span<const belay::Bytes> snapshot()'");
    static_assert(detail::CountsDocumentBytes<D>,
                  "DocumentLike: D needs 'std::size_t bytes() const noexcept'");
    static_assert(detail::GivesStateVector<D>,
                  "DocumentLike: D needs 'belay::Bytes state_vector()'");
    static_assert(detail::GivesDiff<D>,
                  "DocumentLike: D needs 'belay::Result<belay::Bytes> diff(belay::BytesView)'");
    return DocumentLike<D>;
}

}  // namespace explain

}}  // namespace belay
