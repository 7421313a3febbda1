// SPDX-License-Identifier: MIT
/// \file belay/sqlite/store.hpp
/// sqlite::Store: stores the elements of sessions in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <concepts>     // std::same_as
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/queue/codec_like.hpp>
#include <belay/sqlite/detail/elements.hpp>
#include <belay/sqlite/error.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// Options of a store in SQLite.
struct StoreOptions {
    /// Whether the changes of a call or transaction are on the medium when it returns. Otherwise
    /// they survive the process, but not a power cut.
    bool flushes_each = true;
    /// The number of latest operations that the store knows by their id; it knows up to 1,024 more.
    /// If an older operation comes again, its stamp decides. An operation that was stamped anew
    /// counts as two.
    std::size_t ids_remembered = 1'000'000;
    /// The number of replaced versions that the store remembers, those of the latest operations; at
    /// least 1. If an older operation comes again, `SyncResult::overwrote` does not list it again.
    std::size_t replaced_remembered = 10'000;
    /// How long the store remembers that an element was removed; it may remember it up to 1/256
    /// longer. It rejects operations that are older than that. `forever` keeps all tombstones.
    Duration tombstones_kept = std::chrono::hours{24 * 30};
    /// The longest encoded value in bytes; at most 1'000'000'000, the limit of SQLite.
    std::size_t value_bytes_max = 1 << 20;
};

/// Stores elements in an SQLite database of their own, with values that a codec encodes.
///
///     auto store = Store<NoteCodec>::open("notes.db");       // a Result
///     SyncProcessor processor{std::ref(*store), LastWriteWins{}};
///
/// A transaction, or a call outside of one, happens as a whole or not at all, even if the process
/// or the machine fails. A file can be open in one object of one process at a time. Every element
/// has a checksum, because SQLite has none.
///
///     element (session BLOB, id BLOB, crc, wall, counter INTEGER, origin BLOB, value BLOB or NULL,
///         change INTEGER)
///     applied (number INTEGER PRIMARY KEY, id BLOB UNIQUE, hash, decision INTEGER)
///     past (horizon INTEGER, store BLOB, forgotten INTEGER)
///     epoch (first INTEGER PRIMARY KEY, number INTEGER)
///     replaced (number INTEGER PRIMARY KEY, id BLOB UNIQUE, crc, wall, counter INTEGER,
///         origin BLOB, value BLOB or NULL)
///     note (name BLOB PRIMARY KEY, crc INTEGER, value BLOB)
///
/// The database has application_id 0x62656C73 and user_version 6. An element without a value is a
/// tombstone. An element has the number of its last change in `change`. The id in the cursors of
/// `changes_since` is `store`. The last removal whose tombstone is forgotten has the number
/// `forgotten`. Each opening that writes an element begins an epoch: a random number, and the
/// number of its first change. The latest 10,000 are kept. So a reader notices that the file was
/// restored from a copy. The crc is the CRC32C of wall (8 bytes), counter (4), origin (16), 1 or 0
/// (live or not), session, id and value. In `replaced`, `id` is that of the operation that replaced
/// the version, and its crc has no session. In `note`, it is that of name and value. Numbers are
/// little endian.
///
/// Models:        StoreLike, with transactions, changes_since, replaced and notes.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call, on the disk.
/// Errors:        those of SQLite, see Error; a transaction in which a statement failed is undone
///                as a whole. SyncErrc::bad_operation: the codec rejects the value, or it is too
///                long. QueueErrc::corrupt: damaged, or the codec cannot decode it.
template <CodecLike Codec, OperationLike Op = Operation<detail::DecodedBy<Codec>>>
class Store {
public:
    using operation_type = Op;
    using value_type = detail::DecodedBy<Codec>;
    static_assert(std::same_as<value_type, typename Op::value_type>,
                  "sqlite::Store: the operation must have the codec's value_type");

    /// Opens the store in the file `path`, or creates it.
    ///
    /// Errors: what, where, and what to do, see Error. A file of another program, or of a later
    ///         version, is rejected, and keeps its contents.
    /// Throws: std::bad_alloc.
    [[nodiscard]] static Result<Store, Error> open(const std::string& path,
                                                   StoreOptions options = {}, Codec codec = {}) {
        Store store{options, std::move(codec)};
        std::error_code error;
        if (path.empty() || path.find('\0') != path.npos || options.tombstones_kept < Duration{} ||
            options.value_bytes_max == 0 || options.value_bytes_max > 1'000'000'000 ||
            options.ids_remembered >> 40U != 0 || options.replaced_remembered >> 40U != 0 ||
            options.replaced_remembered == 0) {
            error = make_error_code(QueueErrc::bad_options);
        }
        if (!error) error = store.tables_.open(path, options.flushes_each);
        if (error)
            return Error{error, path, store.tables_.last_words(), "store", "sqlite::StoreOptions"};
        store.tables_.remembers(static_cast<std::int64_t>(options.ids_remembered),
                                static_cast<std::int64_t>(options.replaced_remembered));
        return store;
    }

    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key) {
        return tables_.find(key, nullptr);
    }
    [[nodiscard]] Result<std::optional<value_type>> read(const part::ElementKey& key) {
        const Result<part::ElementState> found = tables_.find(key, &bytes_);
        if (!found) return found.error();
        if (found->presence != part::Presence::live) return std::optional<value_type>{};
        std::optional<value_type> value = detail::decode_value(codec_, bytes_);
        if (!value) return make_error_code(QueueErrc::corrupt);
        return value;
    }
    [[nodiscard]] std::error_code add(const part::ElementKey& key, const value_type& value,
                                      const part::WriteMark& mark) {
        if (!encode(value)) return SyncErrc::bad_operation;
        return tables_.put(key, BytesView{bytes_}, mark);
    }
    [[nodiscard]] std::error_code update(const part::ElementKey& key, const value_type& value,
                                         const part::WriteMark& mark) {
        if (!encode(value)) return SyncErrc::bad_operation;
        return tables_.update(key, bytes_, mark);
    }
    [[nodiscard]] std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return tables_.put(key, std::nullopt, mark);
    }
    [[nodiscard]] std::error_code remember(const part::WriteMark& mark) {
        return tables_.remember(mark);
    }
    [[nodiscard]] Result<std::optional<part::AppliedMark>> applied(const Id& operation) {
        return tables_.applied(operation);
    }
    /// Returns the version that an operation replaced unseen; see StoreLike.
    [[nodiscard]] Result<std::optional<part::ReplacedVersion<value_type>>> replaced(
        const Id& operation) {
        const Result<part::ElementState> found = tables_.replaced(operation, bytes_);
        if (!found) return found.error();
        if (found->presence == part::Presence::absent) {
            return std::optional<part::ReplacedVersion<value_type>>{};
        }
        part::ReplacedVersion<value_type> version{found->stamp, std::nullopt};
        if (found->presence == part::Presence::live) {
            version.value = detail::decode_value(codec_, bytes_);
            if (!version.value) return make_error_code(QueueErrc::corrupt);
        }
        return std::optional{std::move(version)};
    }

    [[nodiscard]] Result<Bytes> note(std::string_view name) { return tables_.note(name); }
    [[nodiscard]] std::error_code set_note(std::string_view name, BytesView bytes) {
        return tables_.set_note(name, bytes);
    }

    [[nodiscard]] std::error_code expire(WallTime now) {
        if (options_.tombstones_kept == forever) return {};
        const WallTime until = detail::earlier(now, options_.tombstones_kept);
        // A statement over the whole table is too expensive for the tombstones of a short time.
        const WallTime worth_it = detail::later(tables_.horizon(), options_.tombstones_kept / 256);
        return until > worth_it ? tables_.expire(until) : std::error_code{};
    }
    [[nodiscard]] WallTime horizon() const noexcept { return tables_.horizon(); }

    /// Returns the changes of a session after a cursor; see StoreLike.
    ///
    /// Pre: most > 0.
    /// Errors: as of read. A value that the codec rejects fails alone, with corrupt.
    /// Complexity: linear in the page. It reads no element if nothing has changed.
    [[nodiscard]] Result<part::ChangesPage<value_type>> changes_since(
        std::string_view session, const part::StoreCursor& since, std::size_t most) {
        BELAY_PRECONDITION(most > 0, "sqlite::Store::changes_since: most must be above 0");
        part::ChangesPage<value_type> page;
        const auto take = [&](std::string_view id, const Stamp& stamp,
                              const std::optional<BytesView>& bytes) -> std::error_code {
            auto& change = page.changes.emplace_back();
            change.id = id;
            change.stamp = stamp;
            if (bytes) change.value = detail::decode_value(codec_, *bytes);
            if (bytes && !change.value) change.error = QueueErrc::corrupt;
            return {};
        };
        if (const auto error = tables_.changes_since(session, since, most, page, take))
            return error;
        return page;
    }

    /// Runs a transaction; see StoreLike.   Pre: none is under way.
    template <class Body>
    [[nodiscard]] std::error_code transaction(Body& body) {
        return tables_.transaction(body);
    }

    /// Calls `visit(id, value, stamp)` for each live element of a session, in the order of ids.
    ///
    /// `visit` must not use the store.
    ///
    /// Errors: as of read. If only values cannot be decoded, all others were visited; otherwise not
    ///         all elements were.   Throws: what `visit` throws.
    template <class Visit>
    [[nodiscard]] std::error_code for_each(std::string_view session, Visit&& visit) {
        std::error_code undecoded;
        const auto error = tables_.for_each(
            session, [&](std::string_view id, const Stamp& stamp, BytesView bytes) {
                const std::optional<value_type> value = detail::decode_value(codec_, bytes);
                if (value) {
                    visit(id, *value, stamp);
                } else {
                    undecoded = QueueErrc::corrupt;
                }
            });
        return error ? error : undecoded;
    }

private:
    Store(const StoreOptions& options, Codec&& codec)
        : options_{options}, codec_{std::move(codec)} {}

    [[nodiscard]] bool encode(const value_type& value) {
        bytes_.clear();
        return codec_.encode(value, bytes_) && bytes_.size() <= options_.value_bytes_max;
    }

    StoreOptions options_;
    [[no_unique_address]] Codec codec_;
    detail::SqliteElements tables_{};
    Bytes bytes_{};
};

}}}  // namespace belay::sqlite
