// SPDX-License-Identifier: MIT
// Batches of 1,000 operations into a MemoryStore, beside the same writes into a bare hash table, and
// beside one who knows stamps, tombstones and ids by hash tables written by hand; and into a
// sqlite::Store, beside the same rows by hand in one transaction.
#include <benchmark/benchmark.h>

#include <deque>
#include <filesystem>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <belay/sync.hpp>

#if __has_include(<sqlite3.h>)
#    include <belay/sqlite/store.hpp>
#endif

namespace {

using namespace belay;
using Edit = Operation<std::string>;

constexpr std::size_t batch_size = 1000;

/// Adds and updates of `elements` elements in turn, with ids and stamps that are new each time. If
/// they are `causal`, each names the version that it replaces.
class Edits {
public:
    explicit Edits(std::size_t elements, bool causal = false) : versions_(causal ? elements : 0) {
        for (std::size_t i = 0; i < elements; ++i) {
            // The ids of elements that applications make are short.
            names_.push_back("element-" + std::to_string(i));
        }
        std::swap(names_[0], names_[elements / 2]);
        for (std::size_t i = 0; i < batch_size; ++i) {
            Edit edit;
            if (i % 4 == 0) {
                edit.action = AddElement<std::string>{names_[0], std::string(32, 'x')};
            } else {
                edit.action = UpdateElement<std::string>{names_[0], std::string(32, 'y'), {}};
            }
            batch.push_back(std::move(edit));
        }
    }
    /// All elements added, in batches.
    template <class Processor>
    void fill(Processor& processor) {
        const std::vector<Edit> kept = batch;
        for (std::size_t done = 0; done < names_.size(); done += batch_size) {
            for (Edit& edit : batch)
                edit.action = AddElement<std::string>{"", std::string(32, 'x')};
            renew();
            if (!processor.process_batch("s", batch).success) std::abort();
        }
        batch = kept;
    }
    void renew() {
        for (Edit& edit : batch) {
            edit.id = make_id(bits_);
            edit.stamp = clock_.stamp();
            std::string& name = edit.action.index() == 0
                                    ? std::get<AddElement<std::string>>(edit.action).id
                                    : std::get<UpdateElement<std::string>>(edit.action).id;
            name = names_[next_];
            if (!versions_.empty()) edit.saw = std::exchange(versions_[next_], edit.stamp);
            next_ = next_ + 1 == names_.size() ? 0 : next_ + 1;
        }
    }
    std::vector<Edit> batch;

private:
    std::vector<std::string> names_;
    std::vector<Stamp> versions_;
    std::size_t next_ = 0;
    Random bits_{Seed{1}};
    HybridClock<> clock_{Id{std::byte{1}}};
};

void items(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(batch_size));
}

void process_edits(benchmark::State& state, bool causal) {
    Edits edits{static_cast<std::size_t>(state.range(0)), causal};
    MemoryStore<std::string> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    edits.fill(processor);
    for (auto _ : state) {
        state.PauseTiming();
        edits.renew();
        state.ResumeTiming();
        const SyncResult result = processor.process_batch("s", edits.batch);
        if (result.synced_count != batch_size) state.SkipWithError("not all were applied");
    }
    items(state);
}
void processor(benchmark::State& state) { process_edits(state, false); }
void causal_processor(benchmark::State& state) { process_edits(state, true); }
void write_bare_map(benchmark::State& state, bool causal) {
    Edits edits{static_cast<std::size_t>(state.range(0)), causal};
    std::unordered_map<std::string, std::string> map;
    struct Filler {
        std::unordered_map<std::string, std::string>& into;
        struct Done {
            bool success = true;
        };
        Done process_batch(const char*, const std::vector<Edit>& batch) {
            for (const Edit& edit : batch) into[std::string{edit.element()}] = edit.value();
            return {};
        }
    } filler{map};
    edits.fill(filler);
    for (auto _ : state) {
        state.PauseTiming();
        edits.renew();
        state.ResumeTiming();
        for (const Edit& edit : edits.batch) {
            if (const auto* add = std::get_if<AddElement<std::string>>(&edit.action)) {
                map[add->id] = add->element;
            } else if (const auto* up = std::get_if<UpdateElement<std::string>>(&edit.action)) {
                map[up->id] = up->changes;
            }
        }
        benchmark::ClobberMemory();
    }
    items(state);
}
void bare_map(benchmark::State& state) { write_bare_map(state, false); }
void bare_map_of_causal_edits(benchmark::State& state) { write_bare_map(state, true); }
/// What who needs no library writes: each operation once, the later change wins, also over what was
/// removed. Of contents he has a hash, too, and of ids the last 100,000.
class TablesByHand {
public:
    struct Done {
        bool success = true;
    };
    Done process_batch(const char*, const std::vector<Edit>& batch) {
        for (const Edit& edit : batch) {
            const std::size_t hash = hash_of(edit);
            const auto [known, is_new] = applied_.try_emplace(edit.id, hash);
            if (!is_new) {
                if (known->second != hash) return {false};
                continue;
            }
            order_.push_back(edit.id);
            if (order_.size() > 100'000) {
                applied_.erase(order_.front());
                order_.pop_front();
            }
            if (const auto* add = std::get_if<AddElement<std::string>>(&edit.action)) {
                write(add->id, edit.stamp, &add->element, true);
            } else if (const auto* up = std::get_if<UpdateElement<std::string>>(&edit.action)) {
                write(up->id, edit.stamp, &up->changes, false);
            } else if (const auto* gone = std::get_if<RemoveElement>(&edit.action)) {
                write(gone->id, edit.stamp, nullptr, true);
            }
        }
        return {};
    }

private:
    struct Element {
        Stamp stamp{};
        std::optional<std::string> value{};
    };
    struct IdHash {
        std::size_t operator()(const Id& id) const noexcept {
            return std::hash<std::string_view>{}(as_text(id));
        }
    };

    static std::size_t hash_of(const Edit& edit) {
        const std::hash<std::string_view> text;
        std::size_t hash = edit.action.index() + text(edit.element());
        hash = hash * 31 + static_cast<std::size_t>(edit.stamp.wall.time_since_epoch().count());
        hash = hash * 31 + edit.stamp.counter;
        hash = hash * 31 + text(as_text(edit.stamp.origin));
        return edit.action.index() < 2 ? hash * 31 + text(edit.value()) : hash;
    }
    void write(const std::string& id, const Stamp& stamp, const std::string* value, bool makes) {
        const auto at = elements_.find(id);
        if (at == elements_.end()) {
            if (!makes) return;
            elements_.try_emplace(
                id, Element{stamp, value != nullptr ? std::optional{*value} : std::nullopt});
            return;
        }
        Element& there = at->second;
        if (!(there.stamp < stamp) || (!makes && !there.value)) return;
        there.stamp = stamp;
        if (value == nullptr) {
            there.value.reset();
        } else {
            there.value = *value;
        }
    }

    std::unordered_map<std::string, Element> elements_;
    std::unordered_map<Id, std::size_t, IdHash> applied_;
    std::deque<Id> order_;
};
void by_hand(benchmark::State& state) {
    Edits edits{static_cast<std::size_t>(state.range(0))};
    TablesByHand tables;
    edits.fill(tables);
    for (auto _ : state) {
        state.PauseTiming();
        edits.renew();
        state.ResumeTiming();
        if (!tables.process_batch("s", edits.batch).success) state.SkipWithError("not applied");
    }
    items(state);
}
#define SYNC_MEMORY(f, name) \
    BENCHMARK(f)->Name("sync/memory_store/" name)->ArgName("elements")->Arg(10'000)->Arg(1'000'000)
SYNC_MEMORY(processor, "batches_of_1000/belay");
SYNC_MEMORY(by_hand, "batches_of_1000/by_hand");
SYNC_MEMORY(bare_map, "batches_of_1000/unordered_map");
SYNC_MEMORY(causal_processor, "causal_batches_of_1000/belay");
SYNC_MEMORY(bare_map_of_causal_edits, "causal_batches_of_1000/unordered_map");

#if __has_include(<sqlite3.h>)
struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const {
        const BytesView bytes = as_bytes(text);
        into.insert(into.end(), bytes.begin(), bytes.end());
        return true;
    }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};

std::string bench_path(const char* name) {
    const char* const given = std::getenv("BELAY_BENCH_DIR");
    const std::filesystem::path in =
        given != nullptr ? given : std::filesystem::temp_directory_path();
    const std::string path = in / name;
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(path + suffix);
    return path;
}

void sqlite_store(benchmark::State& state) {
    Edits edits{10'000};
    auto store =
        sqlite::Store<TextCodec>::open(bench_path("belay_store.db"), {.flushes_each = false});
    if (!store) return state.SkipWithError(store.error().message().c_str());
    SyncProcessor processor{std::ref(*store), LastWriteWins{}};
    edits.fill(processor);
    for (auto _ : state) {
        state.PauseTiming();
        edits.renew();
        state.ResumeTiming();
        const SyncResult result = processor.process_batch("s", edits.batch);
        if (result.synced_count != batch_size) state.SkipWithError("not all were applied");
    }
    items(state);
}
/// The same rows, index of changes and questions, and the versions that adds overwrite, by who writes
/// the statements himself; without checksums of the rows.
class ByHand {
public:
    explicit ByHand(const std::string& path) {
        sqlite3_open(path.c_str(), &db_);
        run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
            "CREATE TABLE element (session BLOB NOT NULL, id BLOB NOT NULL, wall INTEGER NOT NULL,"
            "counter INTEGER NOT NULL, origin BLOB NOT NULL, value BLOB, change INTEGER NOT NULL, "
            "PRIMARY KEY (session, id)) WITHOUT ROWID;"
            "CREATE INDEX tombstone ON element (wall) WHERE value IS NULL;"
            "CREATE INDEX changed ON element (session, change);"
            "CREATE TABLE applied (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, hash "
            "INTEGER NOT NULL);"
            "CREATE TABLE replaced (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, wall "
            "INTEGER NOT NULL, counter INTEGER NOT NULL, origin BLOB NOT NULL, value BLOB)");
        known_ = prepared("SELECT hash FROM applied WHERE id=?");
        find_ =
            prepared("SELECT wall, counter, origin, value FROM element WHERE session=? AND id=?");
        put_ = prepared("INSERT OR REPLACE INTO element VALUES (?, ?, ?, ?, ?, ?, ?)");
        note_ = prepared("INSERT INTO applied (id, hash) VALUES (?, ?)");
        keep_ = prepared(
            "INSERT OR REPLACE INTO replaced (id, wall, counter, origin, value) VALUES (?, ?, ?, "
            "?, "
            "?)");
    }
    ByHand(const ByHand&) = delete;
    ByHand& operator=(const ByHand&) = delete;
    ~ByHand() {
        for (sqlite3_stmt* statement : {known_, find_, put_, note_, keep_}) {
            sqlite3_finalize(statement);
        }
        sqlite3_close(db_);
    }

    struct Done {
        bool success = true;
    };
    Done process_batch(const char*, const std::vector<Edit>& batch) {
        run("BEGIN");
        for (const Edit& edit : batch) {
            bind(known_, 1, edit.id.data(), edit.id.size());
            step(known_);
            bind(find_, 1, "s", 1);
            bind(find_, 2, edit.element().data(), edit.element().size());
            if (sqlite3_step(find_) == SQLITE_ROW && edit.action.index() == 0) keep(edit);
            sqlite3_reset(find_);
            bind(put_, 1, "s", 1);
            bind(put_, 2, edit.element().data(), edit.element().size());
            sqlite3_bind_int64(put_, 3, edit.stamp.wall.time_since_epoch().count());
            sqlite3_bind_int64(put_, 4, edit.stamp.counter);
            bind(put_, 5, edit.stamp.origin.data(), edit.stamp.origin.size());
            bind(put_, 6, edit.value().data(), edit.value().size());
            sqlite3_bind_int64(put_, 7, ++changes_);
            step(put_);
            bind(note_, 1, edit.id.data(), edit.id.size());
            sqlite3_bind_int64(note_, 2, 1);
            step(note_);
        }
        run("COMMIT");
        return {};
    }

private:
    /// Keeps the version that `find_` has found.
    void keep(const Edit& edit) {
        bind(keep_, 1, edit.id.data(), edit.id.size());
        for (int i = 0; i < 4; ++i)
            sqlite3_bind_value(keep_, i + 2, sqlite3_column_value(find_, i));
        step(keep_);
    }
    void run(const char* sql) {
        if (sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) std::abort();
    }
    sqlite3_stmt* prepared(const char* sql) {
        sqlite3_stmt* statement = nullptr;
        if (sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) != SQLITE_OK) std::abort();
        return statement;
    }
    static void bind(sqlite3_stmt* statement, int at, const void* bytes, std::size_t count) {
        sqlite3_bind_blob64(statement, at, bytes, count, nullptr);
    }
    static void step(sqlite3_stmt* statement) {
        const int answer = sqlite3_step(statement);
        if (answer != SQLITE_DONE && answer != SQLITE_ROW) std::abort();
        sqlite3_reset(statement);
    }

    sqlite3* db_ = nullptr;
    sqlite3_stmt* known_ = nullptr;
    sqlite3_stmt* find_ = nullptr;
    sqlite3_stmt* put_ = nullptr;
    sqlite3_stmt* note_ = nullptr;
    sqlite3_stmt* keep_ = nullptr;
    std::int64_t changes_ = 0;
};
void sqlite_by_hand(benchmark::State& state) {
    Edits edits{10'000};
    ByHand by_hand{bench_path("by_hand.db")};
    edits.fill(by_hand);
    for (auto _ : state) {
        state.PauseTiming();
        edits.renew();
        state.ResumeTiming();
        by_hand.process_batch("s", edits.batch);
    }
    items(state);
}
BENCHMARK(sqlite_store)->Name("sync/sqlite_store/batches_of_1000/belay")->UseRealTime();
BENCHMARK(sqlite_by_hand)->Name("sync/sqlite_store/batches_of_1000/by_hand")->UseRealTime();
#endif

}  // namespace
