// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/lmdb_table.hpp
/// LmdbTable: the table of a queue in LMDB.
#pragma once

#include <cstdint>  // std::uint64_t
#include <cstring>  // std::memcpy
#include <string>   // std::string

#include <belay/adapter/detail/lmdb_database.hpp>
#include <belay/adapter/detail/record_check.hpp>
#include <belay/adapter/detail/table_storage.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The Table of TableStorage in LMDB. See lmdb::Storage for the format.
class LmdbTable {
public:
    [[nodiscard]] std::error_code open(const std::string& path, bool flushes_each,
                                       std::size_t bytes_max, NumberRange& range) {
        flushes_each_ = flushes_each;
        bytes_max_ = bytes_max;
        if (const std::error_code error = db_.open(path, flushes_each ? 0U : MDB_NOSYNC)) {
            return error;
        }
        bool is_new = false;
        std::error_code error;
        const int answer =
            db_.read([&](const LmdbRun& run) { return look(run, is_new, range, error); });
        if (answer != 0) return code_of_lmdb(answer);
        if (error) return error;
        if (is_new) return create(path);
        // Data that `none` left in the memory of the system could still be lost.
        const int flushed = flushes_each ? db_.flush() : 0;
        return flushed == 0 ? std::error_code{} : code_of_lmdb(flushed);
    }

    [[nodiscard]] std::error_code insert(std::uint64_t number, BytesView body) noexcept {
        if (const std::error_code error = db_.look()) return error;
        bool full = false;
        const int answer = db_.write([&](const LmdbRun& run) {
            full = LmdbDatabase::live_bytes(run) + body.size() > bytes_max_;
            // An error of LMDB that none of these calls returns.
            return full ? MDB_PAGE_FULL : put(run, number, body);
        });
        if (full) return make_error_code(QueueErrc::queue_full);
        return answer == 0 ? std::error_code{} : failure(answer);
    }
    [[nodiscard]] std::error_code read(std::uint64_t number, Bytes& into) const {
        const int answer = db_.read([&](const LmdbRun& run) { return get(run, number, into); });
        return answer == 0 ? std::error_code{} : code_of_lmdb(answer);
    }
    [[nodiscard]] std::error_code remove(std::uint64_t number) noexcept {
        if (const std::error_code error = db_.look()) return error;
        const int answer = db_.write([&](const LmdbRun& run) {
            LmdbKey key{number};
            MDB_val name = key.value();
            return mdb_del(run.get(), run.table(), &name, nullptr);
        });
        return answer == 0 ? std::error_code{} : failure(answer);
    }
    [[nodiscard]] std::error_code flush() noexcept {
        if (flushes_each_) return {};
        if (const std::error_code error = db_.look()) return error;
        // Systems discard unwritten data after a failed flush.
        if (const int answer = db_.flush(); answer != 0) failed_ = code_of_lmdb(answer);
        return failed_;
    }
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }
    [[nodiscard]] const char* last_words() const noexcept { return db_.last_words(); }

private:
    static constexpr char header[] = {'b', 'e', 'l', 'a', 'y', 'q', 1, 0};

    /// Returns the error of a change of the open queue. LMDB undoes what it could not commit. If
    /// that fails too, the content of the file is unknown.
    [[nodiscard]] std::error_code failure(int answer) noexcept {
        const std::error_code code = code_of_lmdb(answer);
        if (code == QueueErrc::corrupt || db_.is_broken()) failed_ = code;
        return code;
    }

    [[nodiscard]] static int put(const LmdbRun& run, std::uint64_t number,
                                 BytesView body) noexcept {
        LmdbKey key{number};
        MDB_val name = key.value();
        MDB_val space{4 + body.size(), nullptr};
        const int answer = mdb_put(run.get(), run.table(), &name, &space, MDB_RESERVE | MDB_APPEND);
        if (answer != 0) return answer;
        auto* const to = static_cast<std::byte*>(space.mv_data);
        store_le(to, record_check(number, body));
        if (!body.empty()) std::memcpy(to + 4, body.data(), body.size());
        return 0;
    }
    [[nodiscard]] static int get(const LmdbRun& run, std::uint64_t number, Bytes& into) {
        LmdbKey key{number};
        MDB_val name = key.value();
        MDB_val found;
        if (const int answer = mdb_get(run.get(), run.table(), &name, &found); answer != 0) {
            return answer;
        }
        const BytesView bytes{static_cast<const std::byte*>(found.mv_data), found.mv_size};
        if (bytes.size() < 4) return MDB_CORRUPTED;
        const BytesView body = bytes.subspan(4);
        if (load_le<std::uint32_t>(bytes.data()) != record_check(number, body)) {
            return MDB_CORRUPTED;
        }
        into.assign(body.begin(), body.end());
        return 0;
    }

    /// Finds out whether the file is a queue, or empty and to become one, and which operations it
    /// has.
    [[nodiscard]] static int look(const LmdbRun& run, bool& is_new, NumberRange& range,
                                  std::error_code& error) noexcept {
        MDB_stat stat;
        if (const int answer = mdb_stat(run.get(), run.table(), &stat); answer != 0) return answer;
        unsigned flags = 0;
        if (const int answer = mdb_dbi_flags(run.get(), run.table(), &flags); answer != 0) {
            return answer;
        }
        // A table with another order, or with several values for a key, is not a queue.
        if (flags != 0) error = make_error_code(QueueErrc::foreign_file);
        is_new = stat.ms_entries == 0;
        if (is_new || error) return 0;
        MDB_cursor* cursor = nullptr;
        if (const int answer = mdb_cursor_open(run.get(), run.table(), &cursor); answer != 0) {
            return answer;
        }
        const int answer = look_through(cursor, stat.ms_entries, range, error);
        mdb_cursor_close(cursor);
        return answer;
    }
    [[nodiscard]] static int look_through(MDB_cursor* cursor, std::size_t entries,
                                          NumberRange& range, std::error_code& error) noexcept {
        MDB_val key;
        MDB_val value;
        int answer = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (answer != 0) return answer;
        if (key.mv_size != 8 || LmdbKey::number_of(key) != 0 || value.mv_size != sizeof header ||
            std::memcmp(value.mv_data, header, 6) != 0) {
            error = make_error_code(QueueErrc::foreign_file);
            return 0;
        }
        if (std::memcmp(value.mv_data, header, sizeof header) != 0) {
            error = make_error_code(QueueErrc::other_version);
            return 0;
        }
        if (entries == 1) return 0;
        answer = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (answer != 0) return answer;
        range.first = LmdbKey::number_of(key);
        answer = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        if (answer != 0) return answer;
        range.last = LmdbKey::number_of(key);
        return range.holds_all_of(entries - 1) ? 0 : MDB_CORRUPTED;
    }
    [[nodiscard]] std::error_code create(const std::string& path) {
        // Makes the name of the file durable. This comes before the header: if it fails, the file
        // is still new at the next opening.
        const std::size_t end = path.rfind('/');
        const std::string directory = end == path.npos ? "." : path.substr(0, end + 1);
        if (const std::error_code error = posix::Files{}.sync_directory(directory)) return error;
        const int answer = db_.write([&](const LmdbRun& run) {
            LmdbKey key{0};
            MDB_val name = key.value();
            // LMDB takes a pointer to non-const, but only reads.
            MDB_val value{sizeof header, const_cast<char*>(header)};
            return mdb_put(run.get(), run.table(), &name, &value, MDB_NOOVERWRITE);
        });
        return answer == 0 ? std::error_code{} : code_of_lmdb(answer);
    }

    LmdbDatabase db_;
    std::size_t bytes_max_ = 0;
    std::error_code failed_;
    bool flushes_each_ = true;
};

}}}  // namespace belay::detail
