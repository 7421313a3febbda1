// SPDX-License-Identifier: MIT
/// \file belay/sqlite/store.hpp
/// sqlite::Store: stores the elements of sessions in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <algorithm>    // std::max, std::upper_bound, std::copy
#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t, std::int64_t
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::exchange
#include <vector>       // std::vector

#include <belay/core/crc32c.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/error.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/store_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The epochs of a store's changes.
///
/// Each opening of a store that makes a change begins an epoch, with a random number. A backup that
/// is restored is opened again, so the changes that it makes have another epoch than the lost ones
/// of the same numbers. The method is that of Kafka's leader epochs (KIP-101).
class StoreEpochs {
public:
    struct Epoch {
        std::uint64_t first = 0;   ///< the number of its first change
        std::uint32_t number = 0;  ///< above 0
    };
    /// The most epochs that a store remembers: daily openings of 27 years.
    static constexpr std::size_t most = 10'000;

    /// Pre: epoch.first is above those of all others.   Throws: std::bad_alloc.
    void add(const Epoch& epoch) { epochs_.push_back(epoch); }
    /// Undoes the last add().
    void remove_last() noexcept { epochs_.pop_back(); }

    /// Returns the epoch of a change; 0: unknown.
    [[nodiscard]] std::uint32_t of(std::uint64_t change) const noexcept {
        const auto after = std::upper_bound(
            epochs_.begin(), epochs_.end(), change,
            [](std::uint64_t number, const Epoch& epoch) { return number < epoch.first; });
        return after == epochs_.begin() ? 0 : (after - 1)->number;
    }
    /// Returns whether the history of a store with this last change includes that of a cursor.
    [[nodiscard]] bool include(const part::StoreCursor& cursor, std::uint64_t last) const noexcept {
        return std::max(cursor.changes, cursor.seen) <= last &&
               (cursor.epoch == 0 || cursor.seen == 0 || of(cursor.seen) == cursor.epoch);
    }
    [[nodiscard]] std::size_t size() const noexcept { return epochs_.size(); }

private:
    std::vector<Epoch> epochs_;
};

/// The SQL statements of a sqlite::Store. See there for the format.
class SqliteElements {
public:
    [[nodiscard]] std::error_code open(const std::string& path, bool flushes_each) {
        std::error_code error = db_.open(path, {0x62656C73, 6}, schema, flushes_each);
        if (!error)
            error = db_.prepare(
                {{"SELECT crc, wall, counter, origin, value FROM element WHERE session=? AND id=?",
                  find_},
                 // Includes tombstones: one may be an element whose value is damaged.
                 {"SELECT crc, wall, counter, origin, value, id FROM element WHERE session=? ORDER "
                  "BY id",
                  list_},
                 {"INSERT OR REPLACE INTO element VALUES (?, ?, ?, ?, ?, ?, ?, ?)", put_},
                 {"UPDATE element SET crc=?3, wall=?4, counter=?5, origin=?6, value=?7, change=?8 "
                  "WHERE session=?1 AND id=?2 AND value IS NOT NULL",
                  update_},
                 {"SELECT crc, wall, counter, origin, value, id, change FROM element WHERE "
                  "session=? AND change>? ORDER BY change",
                  changed_},
                 {"INSERT INTO applied (id, hash, decision) VALUES (?, ?, ?)", remember_},
                 {"SELECT hash, decision FROM applied WHERE id=?", applied_},
                 {"DELETE FROM applied WHERE number<=?", forget_},
                 {"INSERT OR REPLACE INTO replaced (id, crc, wall, counter, origin, value) VALUES "
                  "(?, ?, ?, ?, ?, ?)",
                  note_replaced_},
                 {"SELECT crc, wall, counter, origin, value FROM replaced WHERE id=?", replaced_},
                 {"DELETE FROM replaced WHERE number<=?", forget_replaced_},
                 {"INSERT OR REPLACE INTO epoch (first, number) VALUES (?, ?)", begin_epoch_},
                 {"SELECT crc, value FROM note WHERE name=?", note_},
                 {"INSERT OR REPLACE INTO note VALUES (?, ?, ?)", set_note_}});
        std::int64_t found[5] = {};
        if (!error) {
            error = db_.ask(
                "SELECT horizon, ifnull((SELECT min(number) FROM applied), 1), forgotten, "
                "max(forgotten, ifnull((SELECT max(change) FROM element), 0)), "
                "ifnull((SELECT min(number) FROM replaced), 1) FROM past",
                found);
        }
        horizon_ = WallTime{Duration{found[0]}};
        first_ = found[1];
        forgotten_ = found[2];
        changes_ = found[3];
        first_replaced_ = found[4];
        if (!error) error = read_epochs();
        return error ? error : read_id();
    }

    /// Returns the element, and its value's bytes if it is live. The bytes are valid until the next
    /// call.
    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key, BytesView* value) {
        if (!found_.is_valid || found_.session != key.session || found_.id != key.id) {
            if (const std::error_code error = look_up(key)) return error;
        }
        if (value != nullptr) *value = found_.value;
        return found_.state;
    }
    /// Calls `visit(id, stamp, bytes)` for each live element, except damaged ones.
    template <class Visit>
    [[nodiscard]] std::error_code for_each(std::string_view session, Visit visit) {
        std::error_code damaged;
        const auto take = [&](const SqliteRun& run) {
            const std::string_view id = as_text(run.bytes(5));
            BytesView bytes;
            const Result<part::ElementState> found = read_row(run, {session, id}, bytes);
            if (!found) damaged = found.error();
            if (found && found->presence == part::Presence::live) visit(id, found->stamp, bytes);
            return std::error_code{};
        };
        const std::error_code error = db_.each_row(list_, take, as_bytes(session));
        return error ? read_failed(error) : damaged;
    }
    /// Fills a page of changes; see StoreLike. Calls `take(id, stamp, bytes)` for each change; a
    /// removal has no bytes. A damaged element has an error in place of its stamp.
    template <class Page, class Take>
    [[nodiscard]] std::error_code changes_since(std::string_view session,
                                                const part::StoreCursor& since, std::size_t most,
                                                Page& page, Take take) {
        const auto number = [](std::int64_t n) { return static_cast<std::uint64_t>(n); };
        page.next = since;
        const bool follows = since.store == id_ && epochs_.include(since, number(changes_));
        page.other_history = !follows && since.store != no_id;
        page.begins_copy =
            !follows || std::max(since.changes, since.copied_at) < number(forgotten_);
        if (page.begins_copy) page.next = {id_, 0, number(changes_), 0, 0};
        const SqliteRun run{changed_};
        run.bind_all(as_bytes(session), static_cast<std::int64_t>(page.next.changes));
        int answer = SQLITE_DONE;
        while (!page.more && page.next.changes < number(changes_) &&
               (answer = run.step()) == SQLITE_ROW) {
            const std::uint64_t change = number(run.number(6));
            // A reader that has nothing from before the copy needs no removals from before it.
            if (run.is_null(4) && change <= page.next.copied_at) continue;
            page.more = page.changes.size() == most;
            if (page.more) break;
            const std::string_view id = as_text(run.bytes(5));
            BytesView bytes;
            const Result<part::ElementState> found = read_row(run, {session, id}, bytes);
            const bool live = found && found->presence == part::Presence::live;
            take(id, found ? Result<Stamp>{found->stamp} : found.error(),
                 live ? std::optional{bytes} : std::nullopt);
            page.next.changes = change;
        }
        if (answer != SQLITE_DONE && answer != SQLITE_ROW) return read_failed(db_.code_of(answer));
        if (!page.more) page.next.changes = number(changes_);
        page.next.seen = number(changes_);
        page.next.epoch = epochs_.of(page.next.seen);
        return {};
    }
    /// Makes the element live with this value, also if it was deleted. Without a value it becomes a
    /// tombstone.
    [[nodiscard]] std::error_code put(const part::ElementKey& key,
                                      const std::optional<BytesView>& value,
                                      const part::WriteMark& mark) {
        return in_one_piece([&]() -> std::error_code {
            if (const std::error_code kept = keep_replaced(key, mark)) return kept;
            const std::error_code error = write(put_, key, value, mark);
            return error ? error : remember_id(mark);
        });
    }
    /// Like put(), for a live element.   Errors: store_disagrees: it is not live.
    [[nodiscard]] std::error_code update(const part::ElementKey& key, BytesView value,
                                         const part::WriteMark& mark) {
        return in_one_piece([&]() -> std::error_code {
            if (const std::error_code error = keep_replaced(key, mark)) return error;
            if (const auto error = write(update_, key, value, mark)) return error;
            if (db_.changes() == 1) return remember_id(mark);
            --changes_;
            return SyncErrc::store_disagrees;
        });
    }
    [[nodiscard]] std::error_code remember(const part::WriteMark& mark) {
        return in_one_piece([&] { return remember_id(mark); });
    }
    [[nodiscard]] Result<std::optional<part::AppliedMark>> applied(const Id& operation) {
        std::optional<part::AppliedMark> mark;
        const auto take = [&](const SqliteRun& run) {
            const std::int64_t decision = run.number(1);
            const bool is_known = decision > 0 && decision <= decisions;
            mark = part::AppliedMark{
                static_cast<std::uint64_t>(run.number(0)),
                is_known ? static_cast<part::Decision>(decision) : part::Decision::unknown};
            return std::error_code{};
        };
        if (const auto error = db_.row(applied_, take, BytesView{operation}))
            return read_failed(error);
        return mark;
    }
    /// Returns the version that an operation replaced unseen, and its value's bytes if it had one.
    /// It is absent if it is not remembered.
    [[nodiscard]] Result<part::ElementState> replaced(const Id& operation, Bytes& value) {
        Result<part::ElementState> found = part::ElementState{};
        const auto take = [&](const SqliteRun& run) {
            BytesView bytes;
            found = read_row(run, key_of_replaced(operation), bytes);
            if (found) value.assign(bytes.begin(), bytes.end());
            return std::error_code{};
        };
        if (const auto error = db_.row(replaced_, take, BytesView{operation}))
            return read_failed(error);
        return found;
    }
    [[nodiscard]] Result<Bytes> note(std::string_view name) {
        Result<Bytes> note = Bytes{};
        const auto take = [&](const SqliteRun& run) {
            const BytesView bytes = run.bytes(1);
            if (run.number(0) == check(name, bytes)) {
                note->assign(bytes.begin(), bytes.end());
            } else {
                note = make_error_code(QueueErrc::corrupt);
            }
            return std::error_code{};
        };
        if (const auto error = db_.row(note_, take, as_bytes(name))) return read_failed(error);
        return note;
    }
    [[nodiscard]] std::error_code set_note(std::string_view name, BytesView bytes) {
        return in_one_piece([&] {
            return put_row(set_note_, as_bytes(name), std::int64_t{check(name, bytes)}, bytes);
        });
    }
    /// Removes the tombstones from before `until`.
    [[nodiscard]] std::error_code expire(WallTime until) {
        const std::string before = std::to_string(until.time_since_epoch().count());
        const std::string gone = "FROM element WHERE value IS NULL AND wall<" + before;
        found_.is_valid = false;
        const WallTime was = horizon_;
        const std::int64_t had_forgotten = forgotten_;
        const std::error_code error = in_one_piece([&] {
            const std::string sql = "UPDATE past SET horizon=" + before +
                                    ", forgotten=max(forgotten, ifnull((SELECT max(change) " +
                                    gone + "), 0)); DELETE " + gone;
            std::error_code failure = db_.execute(sql.c_str());
            std::int64_t found[1] = {forgotten_};
            if (!failure) failure = db_.ask("SELECT forgotten FROM past", found);
            forgotten_ = found[0];
            if (failure) broken_ = failure;
            horizon_ = until;
            return failure;
        });
        if (error) {
            horizon_ = was;
            forgotten_ = had_forgotten;
        }
        return error;
    }
    [[nodiscard]] WallTime horizon() const noexcept { return horizon_; }
    /// Sets how many operations are remembered, and how many replaced versions. At least one each,
    /// because SQLite numbers the rows of an empty table from 1 again.
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the options
    void remembers(std::int64_t operations, std::int64_t replaced) noexcept {
        most_ = std::max(operations, std::int64_t{1});
        replaced_most_ = replaced;
    }

    /// Runs `body` in a transaction of SQLite, and undoes it if it cannot be committed.
    /// Pre: none is under way.
    template <class Body>
    [[nodiscard]] std::error_code transaction(Body& body) {
        if (inside_) return SyncErrc::store_disagrees;
        const FlagScope inside{inside_};
        ScopeExit undo{[this, horizon = horizon_, first = first_, first_replaced = first_replaced_,
                        forgotten = forgotten_, changes = changes_, epochs = epochs_.size()] {
            found_.is_valid = false;
            horizon_ = horizon;
            first_ = first;
            first_replaced_ = first_replaced;
            forgotten_ = forgotten;
            changes_ = changes;
            if (epochs_.size() != epochs) epochs_.remove_last();
        }};
        broken_ = {};
        const std::error_code error = db_.in_one_piece([&] {
            const std::error_code failure = body();
            // A failed statement may have ended the transaction, or left half of its effect.
            return failure ? failure : broken_;
        });
        if (!error) undo.release();
        return error;
    }
    /// Returns SQLite's text for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept { return db_.last_words(); }

private:
    static constexpr std::int64_t decisions =
        static_cast<int>(part::Decision::overwrote_concurrent);

    [[nodiscard]] static std::int64_t check(const part::ElementKey& key, const Stamp& stamp,
                                            const std::optional<BytesView>& value) noexcept {
        std::byte head[29];
        store_le(head, static_cast<std::uint64_t>(wall_of(stamp)));
        store_le(head + 8, stamp.counter);
        std::copy(stamp.origin.begin(), stamp.origin.end(), head + 12);
        head[28] = std::byte{value.has_value()};
        return std::int64_t{
            part::crc32c(value.value_or(BytesView{}),
                         part::crc32c(as_bytes(key.id),
                                      part::crc32c(as_bytes(key.session), part::crc32c(head))))};
    }
    [[nodiscard]] static std::uint32_t check(std::string_view name, BytesView note) noexcept {
        return part::crc32c(note, part::crc32c(as_bytes(name)));
    }
    [[nodiscard]] static std::int64_t wall_of(const Stamp& stamp) noexcept {
        return stamp.wall.time_since_epoch().count();
    }
    /// Reads an element into `found_`.
    [[nodiscard]] std::error_code look_up(const part::ElementKey& key) {
        found_.is_valid = false;
        found_.session = key.session;
        found_.id = key.id;
        found_.state = {};
        found_.value.clear();
        const auto take = [&](const SqliteRun& run) -> std::error_code {
            BytesView value;
            const Result<part::ElementState> state = read_row(run, key, value);
            if (!state) return state.error();
            found_.state = *state;
            found_.value.assign(value.begin(), value.end());
            return {};
        };
        const auto error = db_.row(find_, take, as_bytes(key.session), as_bytes(key.id));
        found_.is_valid = !error;
        return error ? read_failed(error) : error;
    }
    /// Reads the row of an element: crc, wall, counter, origin, value.
    [[nodiscard]] static Result<part::ElementState> read_row(const SqliteRun& run,
                                                             const part::ElementKey& key,
                                                             BytesView& value) {
        const BytesView origin = run.bytes(3);
        const bool live = !run.is_null(4);
        if (live) value = run.bytes(4);
        Stamp stamp{
            WallTime{Duration{run.number(1)}}, static_cast<std::uint32_t>(run.number(2)), {}};
        if (origin.size() != stamp.origin.size()) return make_error_code(QueueErrc::corrupt);
        std::copy(origin.begin(), origin.end(), stamp.origin.begin());
        if (run.number(0) != check(key, stamp, live ? std::optional{value} : std::nullopt)) {
            return make_error_code(QueueErrc::corrupt);
        }
        return part::ElementState{live ? part::Presence::live : part::Presence::removed, stamp};
    }
    static constexpr const char* schema =
        "BEGIN; CREATE TABLE element (session BLOB NOT NULL, id BLOB NOT NULL, crc INTEGER NOT "
        "NULL, wall INTEGER NOT NULL, counter INTEGER NOT NULL, origin BLOB NOT NULL, value "
        "BLOB, change INTEGER NOT NULL, PRIMARY KEY (session, id)) WITHOUT ROWID; CREATE INDEX "
        "tombstone ON element (wall) WHERE value IS NULL; CREATE INDEX changed ON element "
        "(session, change); CREATE TABLE applied (number INTEGER PRIMARY KEY, id BLOB "
        "NOT NULL UNIQUE, hash INTEGER NOT NULL, decision INTEGER NOT NULL DEFAULT 0); CREATE "
        "TABLE past (horizon INTEGER NOT NULL, store BLOB NOT NULL, forgotten INTEGER NOT "
        "NULL); INSERT INTO past VALUES (-9223372036854775808, randomblob(16), 0); CREATE "
        "TABLE epoch (first INTEGER PRIMARY KEY, number INTEGER NOT NULL); CREATE TABLE "
        "replaced (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, crc INTEGER NOT NULL, "
        "wall INTEGER NOT NULL, counter INTEGER NOT NULL, origin BLOB NOT NULL, value BLOB); "
        "CREATE TABLE note (name BLOB PRIMARY KEY, crc INTEGER NOT NULL, value BLOB NOT NULL) "
        "WITHOUT ROWID; PRAGMA application_id=0x62656C73; PRAGMA user_version=6; COMMIT";
    [[nodiscard]] std::error_code read_epochs() {
        SqliteStatement statement;
        const auto error = db_.prepare("SELECT first, number FROM epoch ORDER BY first", statement);
        if (error) return error;
        const auto take = [&](const SqliteRun& run) {
            epochs_.add({static_cast<std::uint64_t>(run.number(0)),
                         static_cast<std::uint32_t>(run.number(1))});
            return std::error_code{};
        };
        const std::error_code failure = db_.each_row(statement, take);
        former_epochs_ = epochs_.size();
        return failure;
    }
    /// Begins the epoch of this opening with the next change.
    [[nodiscard]] std::error_code begin_epoch() {
        const auto number = static_cast<std::uint32_t>(Random{}() | 1U);
        epochs_.add({static_cast<std::uint64_t>(changes_ + 1), number});
        std::error_code error = put_row(begin_epoch_, changes_ + 1, std::int64_t{number});
        if (!error && former_epochs_ >= StoreEpochs::most) {
            static const std::string forget =
                "DELETE FROM epoch WHERE first<(SELECT first FROM epoch ORDER BY first DESC LIMIT "
                "1 OFFSET " +
                std::to_string(StoreEpochs::most - 1) + ")";
            error = db_.execute(forget.c_str());
            if (error) broken_ = error;
        }
        if (error) epochs_.remove_last();
        return error;
    }
    [[nodiscard]] std::error_code read_id() {
        SqliteStatement statement;
        if (const auto error = db_.prepare("SELECT store FROM past", statement)) return error;
        const auto take = [&](const SqliteRun& run) -> std::error_code {
            const BytesView id = run.bytes(0);
            if (id.size() != id_.size()) return QueueErrc::corrupt;
            std::copy(id.begin(), id.end(), id_.begin());
            return {};
        };
        return db_.row(statement, take);
    }
    [[nodiscard]] std::error_code write(const SqliteStatement& statement,
                                        const part::ElementKey& key,
                                        const std::optional<BytesView>& value,
                                        const part::WriteMark& mark) {
        if (epochs_.size() == former_epochs_) {
            if (const std::error_code error = begin_epoch()) return error;
        }
        found_.is_valid = false;
        const std::error_code error = put_row(statement, as_bytes(key.session), as_bytes(key.id),
                                              check(key, mark.stamp, value), wall_of(mark.stamp),
                                              std::int64_t{mark.stamp.counter},
                                              BytesView{mark.stamp.origin}, value, changes_ + 1);
        // If the transaction is undone, so is this.
        if (!error) ++changes_;
        return error;
    }
    [[nodiscard]] static part::ElementKey key_of_replaced(const Id& operation) noexcept {
        return {{}, as_text(BytesView{operation})};
    }
    /// Remembers the version that an operation replaces unseen, before it does.
    [[nodiscard]] std::error_code keep_replaced(const part::ElementKey& key,
                                                const part::WriteMark& mark) {
        if (!part::overwrites(mark.decision)) return {};
        BytesView bytes;
        const Result<part::ElementState> found = find(key, &bytes);
        if (!found) return found.error();
        if (found->presence == part::Presence::absent) return {};
        std::optional<BytesView> value;
        if (found->presence == part::Presence::live) value = bytes;
        const Stamp& stamp = found->stamp;
        const std::error_code error =
            put_row(note_replaced_, BytesView{mark.operation},
                    check(key_of_replaced(mark.operation), stamp, value), wall_of(stamp),
                    std::int64_t{stamp.counter}, BytesView{stamp.origin}, value);
        if (error) return error;
        return forget(forget_replaced_, first_replaced_, replaced_most_, replaced_most_ / 64);
    }
    [[nodiscard]] std::error_code remember_id(const part::WriteMark& mark) {
        if (mark.operation == no_id) return {};
        if (const std::error_code error =
                put_row(remember_, BytesView{mark.operation}, static_cast<std::int64_t>(mark.hash),
                        static_cast<std::int64_t>(mark.decision))) {
            return error;
        }
        return forget(forget_, first_, most_, 1024);
    }
    /// Forgets all but the last `most` rows, if there are `more` others. `first` is the number of
    /// the first row, and a row was just added.
    [[nodiscard]] std::error_code forget(const SqliteStatement& statement, std::int64_t& first,
                                         std::int64_t most, std::int64_t more) {
        const std::int64_t last = db_.last_number();
        if (last - first < most + more) return {};
        if (const std::error_code error = put_row(statement, last - most)) return error;
        first = last - most + 1;
        return {};
    }
    /// Returns the error of a read. One that fails for lack of memory, or by the disk, ends the
    /// transaction under way. Later writes would then be committed one by one.
    [[nodiscard]] std::error_code read_failed(const std::error_code& error) noexcept {
        if (inside_ && !db_.in_transaction()) broken_ = error;
        return error;
    }
    /// Runs a statement of the transaction, which cannot be committed after an error.
    template <class... V>
    [[nodiscard]] std::error_code put_row(const SqliteStatement& statement,
                                          const V&... values) noexcept {
        const std::error_code error = db_.write(statement, values...);
        if (error) broken_ = error;
        return error;
    }
    /// Runs in the transaction that is under way, or in a new one.
    template <class Body>
    [[nodiscard]] std::error_code in_one_piece(Body body) {
        if (!inside_) return transaction(body);
        return broken_ ? broken_ : body();
    }

    // Declared first, because the statements must be destroyed before the database.
    SqliteDatabase db_;
    SqliteStatement find_;
    SqliteStatement list_;
    SqliteStatement changed_;
    SqliteStatement put_;
    SqliteStatement update_;
    SqliteStatement remember_;
    SqliteStatement applied_;
    SqliteStatement forget_;
    SqliteStatement note_replaced_;
    SqliteStatement replaced_;
    SqliteStatement forget_replaced_;
    SqliteStatement begin_epoch_;
    SqliteStatement note_;
    SqliteStatement set_note_;
    WallTime horizon_ = WallTime::min();
    std::int64_t first_ = 1;  // of the ids that are remembered
    std::int64_t most_ = 0;
    std::int64_t first_replaced_ = 1;  // of the replaced versions that are remembered
    std::int64_t replaced_most_ = 0;
    std::int64_t changes_ = 0;    // the number of the last change
    std::int64_t forgotten_ = 0;  // that of the last removal that is forgotten
    Id id_{};
    StoreEpochs epochs_;
    std::size_t former_epochs_ = 0;  // of earlier openings
    // The element that was read last, until a write or an undone transaction: a processor finds an
    // element, reads it, and replaces it. No other connection writes, as the lock is exclusive.
    struct {
        bool is_valid = false;
        std::string session{};
        std::string id{};
        part::ElementState state{};
        Bytes value{};
    } found_{};
    bool inside_ = false;       // a transaction is under way
    std::error_code broken_{};  // the transaction under way cannot be committed
};

}}}  // namespace belay::detail

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
    /// least 1. It remembers up to 1/64 more. If an older operation comes again,
    /// `SyncResult::overwrote` does not list it again.
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
class Store : private detail::SqliteElements {
    using Tables = detail::SqliteElements;

public:
    using Tables::applied, Tables::horizon, Tables::note, Tables::remember, Tables::set_note,
        Tables::transaction;
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
        Tables& tables = store;
        if (!error) error = tables.open(path, options.flushes_each);
        if (error) return Error{error, path, tables.last_words(), "store", "sqlite::StoreOptions"};
        tables.remembers(static_cast<std::int64_t>(options.ids_remembered),
                         static_cast<std::int64_t>(options.replaced_remembered));
        return store;
    }

    [[nodiscard]] Result<part::ElementState> find(const part::ElementKey& key) {
        return Tables::find(key, nullptr);
    }
    [[nodiscard]] Result<std::optional<value_type>> read(const part::ElementKey& key) {
        BytesView bytes;
        const Result<part::ElementState> found = Tables::find(key, &bytes);
        if (!found) return found.error();
        if (found->presence != part::Presence::live) return std::optional<value_type>{};
        std::optional<value_type> value = detail::decode_value(codec_, bytes);
        if (!value) return make_error_code(QueueErrc::corrupt);
        return value;
    }
    [[nodiscard]] std::error_code add(const part::ElementKey& key, const value_type& value,
                                      const part::WriteMark& mark) {
        if (!encode(value)) return SyncErrc::bad_operation;
        return Tables::put(key, BytesView{bytes_}, mark);
    }
    [[nodiscard]] std::error_code update(const part::ElementKey& key, const value_type& value,
                                         const part::WriteMark& mark) {
        if (!encode(value)) return SyncErrc::bad_operation;
        return Tables::update(key, bytes_, mark);
    }
    [[nodiscard]] std::error_code remove(const part::ElementKey& key, const part::WriteMark& mark) {
        return Tables::put(key, std::nullopt, mark);
    }
    /// Returns the version that an operation replaced unseen; see StoreLike.
    [[nodiscard]] Result<std::optional<part::ReplacedVersion<value_type>>> replaced(
        const Id& operation) {
        const Result<part::ElementState> found = Tables::replaced(operation, bytes_);
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

    [[nodiscard]] std::error_code expire(WallTime now) {
        if (options_.tombstones_kept == forever) return {};
        const WallTime until = detail::earlier(now, options_.tombstones_kept);
        // A statement over the whole table is too expensive for the tombstones of a short time.
        const WallTime worth_it = detail::later(Tables::horizon(), options_.tombstones_kept / 256);
        return until > worth_it ? Tables::expire(until) : std::error_code{};
    }

    /// Returns the changes of a session after a cursor; see StoreLike.
    ///
    /// Pre: most > 0.
    /// Errors: those of SQLite. A damaged element, or one whose value the codec rejects, fails
    ///         alone, with corrupt. A damaged one has no stamp.
    /// Complexity: linear in the page. It reads no element if nothing has changed.
    [[nodiscard]] Result<part::ChangesPage<value_type>> changes_since(
        std::string_view session, const part::StoreCursor& since, std::size_t most) {
        BELAY_PRECONDITION(most > 0, "sqlite::Store::changes_since: most must be above 0");
        part::ChangesPage<value_type> page;
        const auto take = [&](std::string_view id, const Result<Stamp>& stamp,
                              const std::optional<BytesView>& bytes) {
            auto& change = page.changes.emplace_back();
            change.id = id;
            if (!stamp) {
                change.error = stamp.error();
                return;
            }
            change.stamp = *stamp;
            if (bytes) change.value = detail::decode_value(codec_, *bytes);
            if (bytes && !change.value) change.error = QueueErrc::corrupt;
        };
        if (const auto error = Tables::changes_since(session, since, most, page, take))
            return error;
        return page;
    }

    /// Calls `visit(id, value, stamp)` for each live element of a session, in the order of ids.
    ///
    /// `visit` must not use the store.
    ///
    /// Errors: as of read. After corrupt, all elements were visited that can be read; otherwise not
    ///         all were.   Throws: what `visit` throws.
    template <class Visit>
    [[nodiscard]] std::error_code for_each(std::string_view session, Visit&& visit) {
        std::error_code undecoded;
        const auto error = Tables::for_each(
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
        return detail::encode_value(codec_, value, bytes_) &&
               bytes_.size() <= options_.value_bytes_max;
    }

    StoreOptions options_;
    [[no_unique_address]] Codec codec_;
    Bytes bytes_{};
};

}}}  // namespace belay::sqlite
