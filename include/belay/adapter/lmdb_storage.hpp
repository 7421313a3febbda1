// SPDX-License-Identifier: MIT
/// \file belay/adapter/lmdb_storage.hpp
/// LmdbStorage: a durable queue in one LMDB file. Needs lmdb.
#pragma once

#include <cstdint>   // std::uint64_t
#include <cstring>   // std::memcpy
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/adapter/detail/lmdb_database.hpp>
#include <belay/adapter/detail/record_check.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay::inline BELAY_ABI {

/// When what an LmdbStorage was told is on the medium.
enum class LmdbSync : std::uint8_t {
    full,  ///< when the call returns: a flush for each
    none   ///< when `sync` returns; a loss of power before that may cost the whole file
};

/// How a queue in LMDB is opened.
struct LmdbOptions {
    LmdbSync sync = LmdbSync::full;
    /// The longest operation; at most 1'000'000'000.
    std::size_t record_bytes_max = 1 << 20;
    /// How much may wait, counted in pages of the file: above it, `queue_full`. At least 64 KiB
    /// more than record_bytes_max. The file may get larger by the pages that are free between
    /// others, and never gets smaller.
    std::size_t bytes_max = std::size_t{1} << 30;
};

/// Operations in an LMDB file of their own, ordered by their number.
///
/// Each push, pop and ack is a transaction: it happened, or it did not, whatever dies when. One
/// object in one process has a file open at a time: it is locked until the object, or its process,
/// ends. Programs that only read, as mdb_dump, may do so at any time. LMDB keeps its own locks in a
/// second file, `<path>-lock`, which means nothing while nobody has the queue open.
///
/// Key: the number, 8 bytes big endian; numbers without gaps. Value: the CRC32C of the number, 8
/// bytes little endian, and the body, as 4 bytes little endian; the body. Number 0 is the header:
/// the text "belayq" and the version, 1, as 2 bytes little endian.
///
/// LMDB trusts its pages: a damaged body is found by its checksum, and a file that was cut short at
/// opening or when it is read; other damage may end the process.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class LmdbStorage {
public:
    using value_type = Bytes;

    /// Opens the queue in the file `path`, or makes one there.
    ///
    /// Errors:     what, where, and what to do, see LmdbError. A file of another program, of a
    ///             later version, or that lacks operations is refused, and keeps its contents. One
    ///             of LMDB without any entry is taken for a new one.
    /// Throws:     std::bad_alloc.   Complexity: O(1); maps the file into memory.
    [[nodiscard]] static Result<LmdbStorage, LmdbError> open(const std::string& path,
                                                             LmdbOptions options = {}) {
        LmdbStorage storage;
        const std::error_code code = storage.start(path, options);
        if (code) return LmdbError{code, path, storage.db_.last_words()};
        return storage;
    }

    LmdbStorage(LmdbStorage&&) noexcept = default;
    LmdbStorage& operator=(LmdbStorage&&) noexcept = default;
    ~LmdbStorage() = default;

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; queue_full; no space; what `failed` says. Nothing was taken then.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (failed_) return failed_;
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        const std::uint64_t number = last_ + 1;
        bool full = false;
        const int answer = db_.write([&](const Run& run) {
            full = Database::live_bytes(run) + body.size() > bytes_max_;
            // An answer of LMDB that no call gives.
            return full ? MDB_PAGE_FULL : put(run, number, body);
        });
        if (full) return make_error_code(QueueErrc::queue_full);
        if (answer != 0) return failure(answer);
        last_ = number;
        return {};
    }

    /// Takes the oldest operation; nothing if there is none, or if it could not be read or removed:
    /// then `front` or `failed` says why, and it is still there. If the storage fails while it
    /// removes the operation, that may come again when it is opened.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (failed_ || !front()) return std::nullopt;
        if (!ack()) return std::move(front_);
        // Whether it is gone nobody knows then: if it was not handed out, it could be lost.
        return failed_ ? std::optional<Bytes>{front_} : std::nullopt;
    }

    /// The oldest operation, until `ack` or `try_pop`.
    ///
    /// Errors: queue_empty; corrupt; those of the disk.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        if (!has_front_) {
            const int answer = db_.read([&](const Run& run) { return read_front(run); });
            if (answer != 0) return detail::code_of_lmdb(answer);
            has_front_ = true;
        }
        return BytesView{front_};
    }
    /// Removes the oldest operation, also one that cannot be read.   Pre: there is one.
    ///
    /// Errors: what `failed` says, no space; the operation is still the first then.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "LmdbStorage::ack: there must be an operation");
        if (failed_) return failed_;
        const int answer = db_.write([&](const Run& run) {
            detail::LmdbKey key{first_};
            MDB_val name = key.value();
            return mdb_del(run.get(), run.table(), &name, nullptr);
        });
        if (answer != 0) return failure(answer);
        ++first_;
        has_front_ = false;
        return {};
    }
    /// Nothing: an operation is first until it is removed.
    void nack() noexcept {}

    /// Makes everything durable that was pushed and removed; with LmdbSync::full it is already.
    ///
    /// Errors: what `failed` says.   Blocks: on the disk, with `none`.
    [[nodiscard]] std::error_code sync() noexcept {
        if (failed_ || !sync_later_) return failed_;
        // Systems forget unwritten data after a failed flush.
        if (const int answer = db_.flush(); answer != 0) failed_ = detail::code_of_lmdb(answer);
        return failed_;
    }

    /// The failure of the disk after which nothing more is taken or removed: whether the last call,
    /// or without a flush any, took effect is not known until the file is opened again. No error as
    /// long as there was none.
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(last_ - first_ + 1);
    }
    /// The disk and LmdbOptions::bytes_max are the limit, which count no operations.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

private:
    using Database = detail::LmdbDatabase;
    using Run = detail::LmdbRun;

    static constexpr char header[] = {'b', 'e', 'l', 'a', 'y', 'q', 1, 0};

    LmdbStorage() noexcept = default;

    [[nodiscard]] static int put(const Run& run, std::uint64_t number, BytesView body) noexcept {
        detail::LmdbKey key{number};
        MDB_val name = key.value();
        MDB_val room{4 + body.size(), nullptr};
        const int answer = mdb_put(run.get(), run.table(), &name, &room, MDB_RESERVE | MDB_APPEND);
        if (answer != 0) return answer;
        auto* const to = static_cast<std::byte*>(room.mv_data);
        store_le(to, detail::record_check(number, body));
        if (!body.empty()) std::memcpy(to + 4, body.data(), body.size());
        return 0;
    }
    [[nodiscard]] int read_front(const Run& run) {
        detail::LmdbKey key{first_};
        MDB_val name = key.value();
        MDB_val found;
        if (const int answer = mdb_get(run.get(), run.table(), &name, &found); answer != 0) {
            return answer;
        }
        const BytesView bytes{static_cast<const std::byte*>(found.mv_data), found.mv_size};
        if (bytes.size() < 4) return MDB_CORRUPTED;
        const BytesView body = bytes.subspan(4);
        if (load_le<std::uint32_t>(bytes.data()) != detail::record_check(first_, body)) {
            return MDB_CORRUPTED;
        }
        front_.assign(body.begin(), body.end());
        return 0;
    }

    /// The error of a change of the open queue. LMDB takes back what it could not commit; where
    /// that fails too, nobody knows what is in the file.
    [[nodiscard]] std::error_code failure(int answer) noexcept {
        const std::error_code code = detail::code_of_lmdb(answer);
        if (code == QueueErrc::corrupt || db_.is_broken()) failed_ = code;
        return code;
    }

    [[nodiscard]] std::error_code start(const std::string& path, const LmdbOptions& options) {
        constexpr std::size_t beside = 64 << 10;
        if (path.empty() || path.find('\0') != path.npos ||
            options.record_bytes_max > 1'000'000'000 || options.bytes_max < beside ||
            options.bytes_max - beside < options.record_bytes_max) {
            return make_error_code(QueueErrc::bad_options);
        }
        record_bytes_max_ = options.record_bytes_max;
        bytes_max_ = options.bytes_max;
        sync_later_ = options.sync == LmdbSync::none;
        if (const std::error_code error = db_.open(path, sync_later_ ? MDB_NOSYNC : 0U)) {
            return error;
        }
        bool is_new = false;
        std::error_code error;
        const int answer = db_.read([&](const Run& run) { return look(run, is_new, error); });
        if (answer != 0) return detail::code_of_lmdb(answer);
        if (error) return error;
        if (is_new) return create(path);
        // What `none` left in the memory of the system would be lost with it.
        const int flushed = sync_later_ ? 0 : db_.flush();
        return flushed == 0 ? std::error_code{} : detail::code_of_lmdb(flushed);
    }
    /// Whether the file is a queue, or empty and to become one, and which operations there are.
    [[nodiscard]] int look(const Run& run, bool& is_new, std::error_code& error) noexcept {
        MDB_stat stat;
        if (const int answer = mdb_stat(run.get(), run.table(), &stat); answer != 0) return answer;
        unsigned flags = 0;
        if (const int answer = mdb_dbi_flags(run.get(), run.table(), &flags); answer != 0) {
            return answer;
        }
        // In another order, or with more than one value for a key, it is no queue's.
        if (flags != 0) error = make_error_code(QueueErrc::foreign_file);
        is_new = stat.ms_entries == 0;
        if (is_new || error) return 0;
        MDB_cursor* cursor = nullptr;
        if (const int answer = mdb_cursor_open(run.get(), run.table(), &cursor); answer != 0) {
            return answer;
        }
        const int answer = look_through(cursor, stat.ms_entries, error);
        mdb_cursor_close(cursor);
        return answer;
    }
    [[nodiscard]] int look_through(MDB_cursor* cursor, std::size_t entries,
                                   std::error_code& error) noexcept {
        MDB_val key;
        MDB_val value;
        int answer = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (answer != 0) return answer;
        if (key.mv_size != 8 || detail::LmdbKey::number_of(key) != 0 ||
            value.mv_size != sizeof header || std::memcmp(value.mv_data, header, 6) != 0) {
            error = make_error_code(QueueErrc::foreign_file);
            return 0;
        }
        if (std::memcmp(value.mv_data, header, sizeof header) != 0) {
            error = make_error_code(QueueErrc::future_version);
            return 0;
        }
        if (entries == 1) return 0;
        answer = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (answer != 0) return answer;
        first_ = detail::LmdbKey::number_of(key);
        answer = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        if (answer != 0) return answer;
        last_ = detail::LmdbKey::number_of(key);
        // Without one from between, the order could not be kept.
        const bool whole = first_ > 0 && last_ >= first_ && last_ - first_ == entries - 2;
        return whole ? 0 : MDB_CORRUPTED;
    }
    [[nodiscard]] std::error_code create(const std::string& path) {
        // The name survives a loss of power as well. Before the header: where this fails, the file
        // is new the next time too.
        const std::size_t end = path.rfind('/');
        const std::string directory = end == path.npos ? "." : path.substr(0, end + 1);
        if (const std::error_code error = posix::Files{}.sync_directory(directory)) return error;
        const int answer = db_.write([&](const Run& run) {
            detail::LmdbKey key{0};
            MDB_val name = key.value();
            // LMDB asks for a pointer to what it only reads.
            MDB_val value{sizeof header, const_cast<char*>(header)};
            return mdb_put(run.get(), run.table(), &name, &value, MDB_NOOVERWRITE);
        });
        return answer == 0 ? std::error_code{} : detail::code_of_lmdb(answer);
    }

    Database db_;
    std::uint64_t first_ = 1;
    std::uint64_t last_ = 0;
    Bytes front_;
    std::size_t record_bytes_max_ = 0;
    std::size_t bytes_max_ = 0;
    std::error_code failed_;
    bool has_front_ = false;
    bool sync_later_ = false;
};

static_assert(LeasableLike<LmdbStorage>);

}  // namespace belay::inline BELAY_ABI
