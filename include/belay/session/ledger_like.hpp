// SPDX-License-Identifier: MIT
/// \file belay/session/ledger_like.hpp
/// LedgerLike: makes a receiver's effects and its progress durable together.
#pragma once

#include <concepts>      // std::same_as
#include <optional>      // std::optional
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How far a receiver has come with one sender.
///
/// Exactly-once delivery depends on it, so it is written together with the effect, never before or
/// after it.
struct Progress {
    /// The journal whose operations are counted.
    Id journal{};
    /// The connection that brought the last operation. It fences older ones, also after a restart.
    std::uint64_t attach = 0;
    /// The last operation that took effect.
    std::uint64_t applied = 0;
    /// The check at `applied`.
    std::uint64_t check = 0;

    friend bool operator==(const Progress&, const Progress&) noexcept = default;
};

namespace detail {
template <class L>
concept HasStoreId = requires(const L& ledger) {
    { ledger.store_id() } noexcept -> std::same_as<const Id&>;
};
template <class L>
concept HasProgress = requires(const L& ledger, const Id& sender) {
    { ledger.progress(sender) } -> std::same_as<std::optional<Progress>>;
};
template <class L>
concept HasAdopt = requires(L& ledger, const Id& sender, const Progress& progress) {
    { ledger.adopt(sender, progress) } -> std::same_as<std::error_code>;
};
template <class L>
concept HasApply =
    requires(L& ledger, const Id& sender, const Progress& progress, BytesView operation) {
        { ledger.apply(sender, progress, operation) } -> std::same_as<std::error_code>;
    };
template <class L>
concept HasCommit = requires(L& ledger) {
    { ledger.commit() } -> std::same_as<std::error_code>;
};
}  // namespace detail

/// The requirements for a receiver's store, in which operations take effect.
///
/// - `store_id()`: random, made with the store, durable. A store that was lost and made again has
///   another id.
/// - `progress(sender)`: returns what is applied, including what is not committed yet.
/// - `adopt(sender, progress)`: accepts a new journal, or one instead of another. It is durable
///   when the call returns. After an error nothing has changed.
/// - `apply(sender, progress, operation)`: makes the operation take effect, and `progress` is what
///   holds after it. After a crash either both are there or none. After an error none is there.
/// - `commit()`: makes everything applied durable before it returns.
///
/// There are two ways to keep effect and progress together:
/// - a *transaction* that writes both (SQL);
/// - *derived* progress, which is part of the effect itself, as in each line of a text file.
///
/// After an error of `adopt` or `apply` only that sender waits, and sends it again. The receiver
/// calls `commit` at once. After an error of `commit`, the state of the ledger is uncertain, as it
/// is if an error has changed any progress. Then the receiver closes all connections and serves no
/// sender until it is given a fresh ledger. A ledger that cannot undo a part of an operation
/// returns an error from `commit`, too.
template <class L>
concept LedgerLike = detail::HasStoreId<L> && detail::HasProgress<L> && detail::HasAdopt<L> &&
                     detail::HasApply<L> && detail::HasCommit<L>;

namespace explain {

/// Names every requirement of LedgerLike that L lacks.
template <class L>
consteval bool ledger_like() {
    static_assert(!detail::IsResult<L>,
                  "LedgerLike: L is a Result; test it, and pass its value: std::move(*result)");
    static_assert(
        detail::HasStoreId<L>,
        "LedgerLike: L needs 'const Id& store_id() const noexcept'; see docs/how-to/ledger.md");
    static_assert(detail::HasProgress<L>,
                  "LedgerLike: L needs 'std::optional<Progress> progress(const Id&) const'");
    static_assert(detail::HasAdopt<L>,
                  "LedgerLike: L needs 'std::error_code adopt(const Id&, const Progress&)'");
    static_assert(
        detail::HasApply<L>,
        "LedgerLike: L needs 'std::error_code apply(const Id&, const Progress&, BytesView)'");
    static_assert(detail::HasCommit<L>, "LedgerLike: L needs 'std::error_code commit()'");
    return LedgerLike<L>;
}

}  // namespace explain

}}  // namespace belay
