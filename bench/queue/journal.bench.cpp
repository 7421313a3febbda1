// SPDX-License-Identifier: MIT
// What a durable operation of 256 bytes costs: beside the disk's own limit, SQLite and LevelDB.
//
// BELAY_BENCH_DIR names the directory to use, on the disk that is meant; else the system's
// temporary one.
#include <belay/drive/posix/journal.hpp>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

#include <benchmark/benchmark.h>

#if __has_include(<sqlite3.h>)
#    include <sqlite3.h>
#endif
#if __has_include(<leveldb/db.h>)
#    include <leveldb/db.h>
#endif

using namespace belay;

namespace {

constexpr std::size_t payload_bytes = 256;

/// A directory that is empty at the start, and gone at the end.
class Scratch {
public:
    Scratch() {
        const char* const base = std::getenv("BELAY_BENCH_DIR");
        path_ = (base != nullptr ? std::filesystem::path{base}
                                 : std::filesystem::temp_directory_path()) /
                ("belay-bench-" + std::to_string(::getpid()));
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

/// What cannot be compressed, and differs from call to call.
Bytes random_payload(std::uint64_t seed) {
    Random bits{Seed{seed}};
    Bytes bytes(payload_bytes);
    for (std::byte& b : bytes) b = static_cast<std::byte>(bits());
    return bytes;
}

/// Appends one durable operation per iteration, from each thread, to a store that all share.
///
/// A Store is made from a directory, and has `bool put(BytesView)`, which any thread may call.
template <class Store>
void put_durably(benchmark::State& state) {
    static std::optional<Scratch> scratch;
    static std::optional<Store> store;
    if (state.thread_index() == 0) {
        scratch.emplace();
        store.emplace(*scratch);
    }
    const Bytes payload = random_payload(static_cast<std::uint64_t>(state.thread_index()));
    for (auto _ : state) {
        if (!store->put(payload)) {
            state.SkipWithError("the store failed");
            break;
        }
    }
    state.SetItemsProcessed(state.iterations());
    if (state.thread_index() == 0) {
        store.reset();
        scratch.reset();
    }
}

/// The limit: a file with room reserved, one write and one flush per operation.
class Raw {
public:
    explicit Raw(const Scratch& scratch)
        : file_{std::move(*posix::Files{}.open(scratch / "raw", OpenMode::replace))} {
        static_cast<void>(file_.preallocate(bytes));
        static_cast<void>(file_.sync());
    }
    bool put(BytesView payload) {
        const bool written = !file_.write(offset_, payload) && !file_.sync();
        offset_ = (offset_ + payload.size()) % bytes;
        return written;
    }

private:
    static constexpr std::uint64_t bytes = 64 << 20;
    posix::File file_;
    std::uint64_t offset_ = 0;
};

class Ours {
public:
    explicit Ours(const Scratch& scratch)
        : journal_{std::move(*posix::Journal::open(scratch / "journal"))} {}
    bool put(BytesView payload) { return journal_.append(payload) && !journal_.sync(); }

private:
    posix::Journal journal_;
};

BENCHMARK(put_durably<Raw>)->Name("queue/journal/append_one_by_one/raw")->UseRealTime();
BENCHMARK(put_durably<Ours>)->Name("queue/journal/append_one_by_one/belay")->UseRealTime();
BENCHMARK(put_durably<Ours>)->Name("queue/journal/group_commit/belay")->Threads(16)->UseRealTime();

#if __has_include(<sqlite3.h>)
/// One transaction per operation, in WAL mode with synchronous=FULL.
class Sqlite {
public:
    explicit Sqlite(const Scratch& scratch) {
        sqlite3_open((scratch / "db").c_str(), &db_);
        sqlite3_exec(db_,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE queue (id INTEGER PRIMARY KEY, body BLOB)",
                     nullptr, nullptr, nullptr);
        sqlite3_prepare_v2(db_, "INSERT INTO queue (body) VALUES (?)", -1, &insert_, nullptr);
    }
    Sqlite(const Sqlite&) = delete;
    Sqlite& operator=(const Sqlite&) = delete;
    ~Sqlite() {
        sqlite3_finalize(insert_);
        sqlite3_close(db_);
    }
    bool put(BytesView payload) {
        const std::lock_guard lock{mutex_};
        sqlite3_bind_blob(insert_, 1, payload.data(), static_cast<int>(payload.size()), nullptr);
        const bool done = sqlite3_step(insert_) == SQLITE_DONE;
        sqlite3_reset(insert_);
        return done;
    }

private:
    std::mutex mutex_;
    sqlite3* db_ = nullptr;
    sqlite3_stmt* insert_ = nullptr;
};
BENCHMARK(put_durably<Sqlite>)->Name("queue/journal/append_one_by_one/sqlite")->UseRealTime();
BENCHMARK(put_durably<Sqlite>)
    ->Name("queue/journal/group_commit/sqlite")
    ->Threads(16)
    ->UseRealTime();
#endif

#if __has_include(<leveldb/db.h>)
/// One synced write per operation; LevelDB groups those of several threads.
class LevelDb {
public:
    explicit LevelDb(const Scratch& scratch) {
        leveldb::Options options;
        options.create_if_missing = true;
        leveldb::DB* db = nullptr;
        static_cast<void>(leveldb::DB::Open(options, scratch / "leveldb", &db));
        db_.reset(db);
        write_.sync = true;
    }
    bool put(BytesView payload) {
        std::array<std::byte, 8> key;
        store_le<std::uint64_t>(key.data(), next_.fetch_add(1));
        return db_->Put(write_, slice(key), slice(payload)).ok();
    }

private:
    static leveldb::Slice slice(BytesView bytes) {
        const std::string_view text = as_text(bytes);
        return {text.data(), text.size()};
    }

    std::unique_ptr<leveldb::DB> db_;
    leveldb::WriteOptions write_;
    std::atomic<std::uint64_t> next_{0};
};
BENCHMARK(put_durably<LevelDb>)->Name("queue/journal/append_one_by_one/leveldb")->UseRealTime();
BENCHMARK(put_durably<LevelDb>)
    ->Name("queue/journal/group_commit/leveldb")
    ->Threads(16)
    ->UseRealTime();
#endif

/// Opening a journal of 100,000 operations, with every checksum verified.
void open_journal(benchmark::State& state) {
    const Scratch scratch;
    constexpr std::uint64_t operations = 100'000;
    {
        auto journal = posix::Journal::open(scratch / "journal");
        for (std::uint64_t i = 0; i < operations; ++i) {
            static_cast<void>(journal->append(random_payload(i)));
        }
    }
    for (auto _ : state) {
        const auto journal = posix::Journal::open(scratch / "journal");
        if (!journal || journal->size() != operations) state.SkipWithError("not all are there");
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(operations));
}
BENCHMARK(open_journal)->Name("queue/journal/open/belay")->UseRealTime();

}  // namespace
