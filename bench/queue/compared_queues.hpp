// SPDX-License-Identifier: MIT
/// \file bench/queue/compared_queues.hpp
/// Queues on a disk behind one interface: ours, those of other projects, and the disk's own limit.
///
/// A store is made from a Scratch and a Mode, and has
/// - `bool put(BytesView)`: appends an operation; any thread, but for Raw;
/// - `bool put_batch(Payloads&, count)`: appends as many operations in one commit;
/// - `bool pop()`: reads the oldest operation and gives it up, in one commit; not Raw.
/// With Mode::durable each commit is on the medium when the call returns. Every peer is used as its
/// manual says it is fast.
#pragma once

#include <belay/posix/journal.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>

#include <benchmark/benchmark.h>

#if __has_include(<sqlite3.h>)
#    include <sqlite3.h>
#endif
#if __has_include(<leveldb/db.h>)
#    include <leveldb/db.h>
#    include <leveldb/write_batch.h>
#endif
#if __has_include(<rocksdb/db.h>)
#    include <rocksdb/db.h>
#    include <rocksdb/write_batch.h>
#endif
#if __has_include(<lmdb.h>)
#    include <lmdb.h>
#endif

namespace belay_bench {

using belay::BytesView;

/// A directory that is empty at the start, and gone at the end.
///
/// BELAY_BENCH_DIR names the directory to use, on the disk that is meant; else the system's
/// temporary one.
class Scratch {
public:
    Scratch() {
        static std::atomic<unsigned> made{0};
        const char* const base = std::getenv("BELAY_BENCH_DIR");
        path_ = (base != nullptr ? std::filesystem::path{base}
                                 : std::filesystem::temp_directory_path()) /
                ("belay-bench-" + std::to_string(::getpid()) + "-" + std::to_string(made++));
        std::filesystem::remove_all(path_);
        std::filesystem::create_directory(path_);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { std::filesystem::remove_all(path_); }
    [[nodiscard]] std::string operator/(const char* name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

/// Times `open()`, which answers an optional: nothing where something is wrong; `each` is how many
/// operations wait in what it opens. Closing is not timed.
template <class Open>
void time_openings(benchmark::State& state, std::uint64_t each, Open open) {
    for (auto _ : state) {
        auto opened = open();
        if (!opened) {
            state.SkipWithError("some values are missing");
            break;
        }
        state.PauseTiming();
        opened.reset();
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(each));
}

inline constexpr std::size_t payload_bytes = 256;

/// Operations without end, of which a store that compresses what lies together can make nothing
/// shorter: no two of a thousand in a row are alike.
class Payloads {
public:
    explicit Payloads(std::uint64_t seed) {
        belay::Random bits{belay::Seed{seed}};
        for (std::size_t at = 0; at < pool_.size(); at += 8) {
            belay::store_le<std::uint64_t>(pool_.data() + at, bits());
        }
    }
    BytesView next() {
        const std::size_t at = payload_bytes * (number_++ % different);
        return BytesView{pool_}.subspan(at, payload_bytes);
    }

private:
    static constexpr std::size_t different = 1024;
    belay::Bytes pool_ = belay::Bytes(different * payload_bytes);
    std::size_t number_ = 0;
};

enum class Mode {
    durable,  ///< a commit is on the medium when the call returns
    buffered  ///< it gets there some time
};

/// The limit: a file with room reserved, one write and one flush per commit.
class Raw {
public:
    Raw(const Scratch& scratch, Mode mode)
        : file_{std::move(*belay::posix::Files{}.open(scratch / "raw", belay::OpenMode::replace))},
          mode_{mode} {
        static_cast<void>(file_.preallocate(bytes));
        static_cast<void>(file_.sync());
    }
    bool put(BytesView payload) {
        if (offset_ + payload.size() > bytes) offset_ = 0;
        const bool written =
            !file_.write(offset_, payload) && (mode_ == Mode::buffered || !file_.sync());
        offset_ += payload.size();
        return written;
    }
    bool put_batch(Payloads& payloads, std::size_t count) {
        batch_.clear();
        for (std::size_t i = 0; i < count; ++i) {
            const BytesView payload = payloads.next();
            batch_.insert(batch_.end(), payload.begin(), payload.end());
        }
        return put(batch_);
    }

private:
    static constexpr std::uint64_t bytes = 64 << 20;
    belay::posix::Files::File file_;
    Mode mode_;
    belay::Bytes batch_;
    std::uint64_t offset_ = 0;
};

class Ours {
public:
    Ours(const Scratch& scratch, Mode mode)
        : journal_{std::move(*belay::posix::Journal::open(
              scratch / "journal",
              {.flush = mode == Mode::durable ? belay::Flush::group : belay::Flush::none}))},
          mode_{mode} {}
    bool put(BytesView payload) { return journal_.append(payload) && commit(); }
    bool put_batch(Payloads& payloads, std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            if (!journal_.append(payloads.next())) return false;
        }
        return commit();
    }
    bool pop() { return journal_.front() && !journal_.ack() && commit(); }

private:
    bool commit() { return mode_ == Mode::buffered || !journal_.commit(); }

    belay::posix::Journal journal_;
    Mode mode_;
};

#if __has_include(<sqlite3.h>)
/// In WAL mode, with synchronous=FULL or NORMAL; without a transaction of its own each statement is
/// one.
class Sqlite {
public:
    Sqlite(const Scratch& scratch, Mode mode) {
        sqlite3_open((scratch / "db").c_str(), &db_);
        execute("PRAGMA journal_mode=WAL; CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)");
        execute(mode == Mode::durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
        insert_ = prepare("INSERT INTO queue (body) VALUES (?)");
        select_ = prepare("SELECT id, body FROM queue ORDER BY id LIMIT 1");
        remove_ = prepare("DELETE FROM queue WHERE id = ?");
    }
    Sqlite(const Sqlite&) = delete;
    Sqlite& operator=(const Sqlite&) = delete;
    ~Sqlite() {
        for (sqlite3_stmt* const statement : {insert_, select_, remove_}) {
            sqlite3_finalize(statement);
        }
        sqlite3_close(db_);
    }
    bool put(BytesView payload) {
        const std::lock_guard lock{mutex_};
        return insert(payload);
    }
    bool put_batch(Payloads& payloads, std::size_t count) {
        const std::lock_guard lock{mutex_};
        bool done = execute("BEGIN");
        for (std::size_t i = 0; i < count; ++i) done = done && insert(payloads.next());
        return done && execute("COMMIT");
    }
    bool pop() {
        const std::lock_guard lock{mutex_};
        if (sqlite3_step(select_) != SQLITE_ROW) return false;
        const sqlite3_int64 id = sqlite3_column_int64(select_, 0);
        const bool read = sqlite3_column_blob(select_, 1) != nullptr;
        sqlite3_reset(select_);
        sqlite3_bind_int64(remove_, 1, id);
        const bool removed = sqlite3_step(remove_) == SQLITE_DONE;
        sqlite3_reset(remove_);
        return read && removed;
    }

private:
    bool execute(const char* sql) {
        return sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK;
    }
    sqlite3_stmt* prepare(const char* sql) {
        sqlite3_stmt* statement = nullptr;
        sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr);
        return statement;
    }
    bool insert(BytesView payload) {
        sqlite3_bind_blob(insert_, 1, payload.data(), static_cast<int>(payload.size()), nullptr);
        const bool done = sqlite3_step(insert_) == SQLITE_DONE;
        sqlite3_reset(insert_);
        return done;
    }

    std::mutex mutex_;
    sqlite3* db_ = nullptr;
    sqlite3_stmt* insert_ = nullptr;
    sqlite3_stmt* select_ = nullptr;
    sqlite3_stmt* remove_ = nullptr;
};
#endif

/// A key that sorts by its number.
[[maybe_unused]] inline std::array<char, 8> sorted_key(std::uint64_t number) {
    std::array<char, 8> key;
    for (std::size_t i = 0; i < key.size(); ++i) {
        key[i] = static_cast<char>(number >> (8 * (key.size() - 1 - i)));
    }
    return key;
}

/// LevelDB, and RocksDB, which has kept its interface. Both group the commits of several threads.
/// The first number is remembered, so that no scan meets what was deleted.
template <class Api>
class LogStructured {
public:
    LogStructured(const Scratch& scratch, Mode mode) {
        typename Api::Options options;
        options.create_if_missing = true;
        typename Api::Db* db = nullptr;
        static_cast<void>(Api::Db::Open(options, scratch / "db", &db));
        db_.reset(db);
        write_.sync = mode == Mode::durable;
    }
    bool put(BytesView payload) {
        const auto key = sorted_key(last_.fetch_add(1));
        return db_->Put(write_, slice(key), slice(payload)).ok();
    }
    bool put_batch(Payloads& payloads, std::size_t count) {
        typename Api::Batch batch;
        for (std::size_t i = 0; i < count; ++i) {
            const auto key = sorted_key(last_.fetch_add(1));
            batch.Put(slice(key), slice(payloads.next()));
        }
        return db_->Write(write_, &batch).ok();
    }
    bool pop() {
        const auto key = sorted_key(first_++);
        return db_->Get(typename Api::ReadOptions{}, slice(key), &body_).ok() &&
               db_->Delete(write_, slice(key)).ok();
    }

private:
    static typename Api::Slice slice(BytesView bytes) {
        const std::string_view text = belay::as_text(bytes);
        return {text.data(), text.size()};
    }
    static typename Api::Slice slice(const std::array<char, 8>& key) {
        return {key.data(), key.size()};
    }

    std::unique_ptr<typename Api::Db> db_;
    typename Api::WriteOptions write_;
    std::string body_;
    std::uint64_t first_ = 0;
    std::atomic<std::uint64_t> last_{0};
};

#if __has_include(<leveldb/db.h>)
struct LevelDbApi {
    using Db = leveldb::DB;
    using Options = leveldb::Options;
    using ReadOptions = leveldb::ReadOptions;
    using WriteOptions = leveldb::WriteOptions;
    using Batch = leveldb::WriteBatch;
    using Slice = leveldb::Slice;
};
using LevelDb = LogStructured<LevelDbApi>;
#endif
#if __has_include(<rocksdb/db.h>)
struct RocksDbApi {
    using Db = rocksdb::DB;
    using Options = rocksdb::Options;
    using ReadOptions = rocksdb::ReadOptions;
    using WriteOptions = rocksdb::WriteOptions;
    using Batch = rocksdb::WriteBatch;
    using Slice = rocksdb::Slice;
};
using RocksDb = LogStructured<RocksDbApi>;
#endif

#if __has_include(<lmdb.h>)
/// One transaction per commit; keys are integers, and appended.
class Lmdb {
public:
    Lmdb(const Scratch& scratch, Mode mode) {
        mdb_env_create(&env_);
        // The file has holes where nothing is written.
        mdb_env_set_mapsize(env_, std::size_t{8} << 30);
        const unsigned flags = MDB_NOSUBDIR | (mode == Mode::durable ? 0 : MDB_NOSYNC);
        good_ = mdb_env_open(env_, (scratch / "lmdb").c_str(), flags, 0600) == 0;
        commit(
            [&](MDB_txn* txn) { return mdb_dbi_open(txn, nullptr, MDB_INTEGERKEY, &table_) == 0; });
    }
    Lmdb(const Lmdb&) = delete;
    Lmdb& operator=(const Lmdb&) = delete;
    ~Lmdb() { mdb_env_close(env_); }
    bool put(BytesView payload) {
        return commit([&](MDB_txn* txn) { return insert(txn, payload); });
    }
    bool put_batch(Payloads& payloads, std::size_t count) {
        return commit([&](MDB_txn* txn) {
            for (std::size_t i = 0; i < count; ++i) {
                if (!insert(txn, payloads.next())) return false;
            }
            return true;
        });
    }
    bool pop() {
        return commit([&](MDB_txn* txn) {
            std::uint64_t number = first_++;
            MDB_val key{sizeof number, &number};
            MDB_val body{};
            return mdb_get(txn, table_, &key, &body) == 0 &&
                   mdb_del(txn, table_, &key, nullptr) == 0;
        });
    }

private:
    bool insert(MDB_txn* txn, BytesView payload) {
        std::uint64_t number = last_++;
        MDB_val key{sizeof number, &number};
        MDB_val body{payload.size(), const_cast<std::byte*>(payload.data())};
        return mdb_put(txn, table_, &key, &body, MDB_APPEND) == 0;
    }
    template <class F>
    bool commit(F f) {
        MDB_txn* txn = nullptr;
        // The environment's own lock: one that writes at a time.
        if (!good_ || mdb_txn_begin(env_, nullptr, 0, &txn) != 0) return false;
        if (f(txn)) return mdb_txn_commit(txn) == 0;
        mdb_txn_abort(txn);
        return false;
    }

    MDB_env* env_ = nullptr;
    MDB_dbi table_ = 0;
    bool good_ = false;
    std::uint64_t first_ = 0;
    std::uint64_t last_ = 0;
};
#endif

}  // namespace belay_bench
