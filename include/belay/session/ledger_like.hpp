// SPDX-License-Identifier: MIT
/// \file belay/session/ledger_like.hpp
/// LedgerLike: where a receiver's effects and its progress become durable, together.
#pragma once

#include <concepts>  // std::same_as
#include <optional>  // std::optional

#include <belay/core/bytes.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How far a receiver has come with one sender. It is what makes "once" true, so it is written with
/// the effect, never before or after it.
struct Progress {
    Id journal{};
    /// The connection that brought the last operation; fences older ones, also after a restart.
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

/// The receiver's store, and the place where operations take effect.
///
/// - `store_id()`: random, made with the store, durable; a store that was lost and recreated has
///   another.
/// - `progress(sender)`: what is applied, also what is not committed yet.
/// - `adopt(sender, progress)`: a new journal, or one instead of another; durable when it returns.
/// - `apply(sender, progress, operation)`: the operation takes effect, and `progress` is what holds
///   after it. Both in one piece: after a crash either both are there or none.
/// - `commit()`: everything applied is durable when it returns.
///
/// Two ways to keep both in one piece: a *transaction* over effect and progress (SQL, LMDB), or
/// *derived* progress: the effect itself carries it, as a line of a text file does.
///
/// After an error the ledger is in doubt: the receiver gives up all connections and serves nobody
/// until it is given a fresh one.
template <class L>
concept LedgerLike = detail::HasStoreId<L> && detail::HasProgress<L> && detail::HasAdopt<L> &&
                     detail::HasApply<L> && detail::HasCommit<L>;

namespace explain {

/// Names every requirement of LedgerLike that L lacks.
template <class L>
consteval bool ledger_like() {
    static_assert(detail::HasStoreId<L>,
                  "LedgerLike: L needs 'const Id& store_id() const noexcept', see docs/session.md");
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
