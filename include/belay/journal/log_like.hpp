// SPDX-License-Identifier: MIT
/// \file belay/journal/log_like.hpp
/// LogLike: a durable, numbered queue, which a Session needs for exactly-once delivery.
#pragma once

#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <system_error>  // std::error_code

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S>
concept HasJournalIdentity = requires(const S& s) {
    { s.journal_id() } noexcept -> std::same_as<const Id&>;
    { s.run() } noexcept -> std::same_as<std::uint32_t>;
    { s.salt() } noexcept -> std::same_as<std::uint32_t>;
};
template <class S>
concept HasStorePin = requires(S& s, const S& c, const Id& id) {
    { c.store_pin() } noexcept -> std::same_as<const Id&>;
    { s.pin_store(id) } noexcept -> std::same_as<std::error_code>;
};
template <class S>
concept HasNumbers = requires(const S& s) {
    { s.base() } noexcept -> std::same_as<std::uint64_t>;
    { s.last() } noexcept -> std::same_as<std::uint64_t>;
    { s.durable() } noexcept -> std::same_as<std::uint64_t>;
};
template <class S>
concept HasAppendAndCommit = requires(S& s, BytesView body) {
    { s.append(body) } noexcept -> std::same_as<Result<std::uint64_t>>;
    { s.commit() } noexcept -> std::same_as<std::error_code>;
};
template <class S>
concept HasNumberedRead = requires(S& s, std::uint64_t number) {
    { s.read(number) } -> std::same_as<Result<BytesView>>;
};
template <class S>
concept HasCheckOf = requires(S& s, const S& c, std::uint64_t number) {
    { c.salt_of(number) } noexcept -> std::same_as<std::uint32_t>;
    { s.check(number) } -> std::same_as<Result<std::uint64_t>>;
};
template <class S>
concept HasNumberedAck = requires(S& s, std::uint64_t up_to) {
    { s.ack(up_to) } noexcept -> std::same_as<std::error_code>;
};
template <class S>
concept HasDurableAck = requires(const S& s) {
    { s.acked_durable() } noexcept -> std::same_as<std::uint64_t>;
};
template <class S>
concept HasRecordLimit = requires(const S& s) {
    { s.record_bytes_max() } noexcept -> std::same_as<std::size_t>;
};
// Members of these names with other signatures would be ignored without a diagnostic.
template <class S>
concept ReportsSoundly = (HasDurableAck<S> || !requires { &S::acked_durable; }) &&
                         (HasRecordLimit<S> || !requires { &S::record_bytes_max; });
template <class S>
concept HasMediumFailure = requires(const S& s) {
    { s.failed() } noexcept -> std::same_as<std::error_code>;
};

}  // namespace detail

/// The requirements for a queue of numbered operations that survives a crash.
///
/// Operations are numbered from 1 without a gap.
///
/// Semantics that the compiler cannot check:
/// - `journal_id()` is random and made with the queue. A queue that was lost and made again has
///   another id.
/// - `run()` counts openings, and `salt()` is random for each opening. Both are durable before the
///   opener returns. `salt_of(n)`, base() <= n <= last(), is the salt of the run that appended n.
/// - `append(body)` returns the number last() + 1, which need not be durable yet. `commit()` makes
///   everything appended before it durable, and then `durable()` is at least that number.
///   `durable()` never decreases.
/// - `ack(n)` releases everything up to n. It is cumulative and idempotent, and may become durable
///   later. A crash before that brings operations back, and never loses one. base() == acked + 1.
/// - A `commit()` without error also makes durable what was acknowledged before it. A log may have
///   space only for what was appended. It then returns no error, and must have `acked_durable()
///   const noexcept -> std::uint64_t`: the last number whose acknowledgement is durable.
/// - A log with a maximum size of an operation may have `record_bytes_max() const noexcept ->
///   std::size_t`. A caller that writes longer operations is then rejected before the first
///   of them.
/// - `read(n)`, base() <= n <= last(), returns a view that is valid until the next call that is not
///   const. `read` and `check` throw nothing but std::bad_alloc.
/// - `check(n)`, base() - 1 <= n <= last(), is `first_check` folded with `next_check` up to n.
/// - `pin_store(id)` is durable when it returns. `store_pin()` is `no_id` before the first call.
/// - After a failure of the medium `failed()` returns that error, and so does every later append
///   and commit.
template <class S>
concept LogLike =
    std::movable<S> && detail::HasJournalIdentity<S> && detail::HasStorePin<S> &&
    detail::HasNumbers<S> && detail::HasAppendAndCommit<S> && detail::HasNumberedRead<S> &&
    detail::HasCheckOf<S> && detail::HasNumberedAck<S> && detail::HasMediumFailure<S> &&
    detail::ReportsSoundly<S>;

namespace explain {

/// Names every requirement of LogLike that S lacks.
template <class S>
consteval bool log_like() {
    static_assert(!detail::IsResult<S>,
                  "LogLike: S is a Result; test it, and pass its value: std::move(*result)");
    static_assert(std::movable<S>, "LogLike: S must be movable");
    static_assert(detail::HasJournalIdentity<S>,
                  "LogLike: S needs 'journal_id() const noexcept -> const Id&', and 'run()' and "
                  "'salt()', both 'const noexcept -> std::uint32_t'; see "
                  "docs/reference/journal.md");
    static_assert(detail::HasStorePin<S>,
                  "LogLike: S needs 'store_pin() const noexcept -> const Id&' and "
                  "'pin_store(const Id&) noexcept -> std::error_code'");
    static_assert(detail::HasNumbers<S>,
                  "LogLike: S needs 'base()', 'last()' and 'durable()', each 'const noexcept "
                  "-> std::uint64_t'");
    static_assert(detail::HasAppendAndCommit<S>,
                  "LogLike: S needs 'append(BytesView) noexcept -> Result<std::uint64_t>' "
                  "and 'commit() noexcept -> std::error_code'");
    static_assert(detail::HasNumberedRead<S>,
                  "LogLike: S needs 'read(std::uint64_t) -> Result<BytesView>'");
    static_assert(detail::HasCheckOf<S>,
                  "LogLike: S needs 'salt_of(std::uint64_t) const noexcept -> std::uint32_t' "
                  "and 'check(std::uint64_t) -> Result<std::uint64_t>'");
    static_assert(detail::HasNumberedAck<S>,
                  "LogLike: S needs 'ack(std::uint64_t) noexcept -> std::error_code'");
    static_assert(detail::HasMediumFailure<S>,
                  "LogLike: S needs 'failed() const noexcept -> std::error_code'");
    static_assert(detail::ReportsSoundly<S>,
                  "LogLike: optional members must be 'acked_durable() const noexcept -> "
                  "std::uint64_t' and 'record_bytes_max() const noexcept -> std::size_t'");
    return LogLike<S>;
}

}  // namespace explain

namespace detail {

/// Semantics that the compiler cannot check: each note replaces the one before. The log keeps the
/// latest note as long as it exists. `commit()` makes the note durable.
template <class L>
concept KeepsNote = requires(L& log, const L& known, BytesView note) {
    { log.keep(note) } noexcept -> std::same_as<std::error_code>;
    { known.kept() } noexcept -> std::same_as<BytesView>;
};

}  // namespace detail

}}  // namespace belay
