// SPDX-License-Identifier: MIT
// Goal: the example of two clients that edit offline accepts every line once and stores it once,
// wherever it is killed, and reports why it ends. Method: its processes, killed at their system
// calls, interrupted, on a full disk; the resulting store is compared with a model.
#include <sys/resource.h>

#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include <belay/adapter/nlohmann_json.hpp>
#include <belay/adapter/sqlite_store.hpp>
#include <belay/posix/journal.hpp>

#include "e2e/process.hpp"
#include "support/adapter/killed_at_a_call.hpp"
#include "support/adapter/text_codec.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

const std::vector<std::string> on_phone{"add a 1",
                                        "update a of the phone",
                                        "add b 1",
                                        "remove b",
                                        "add c with  spaces ",
                                        "add shared phone",
                                        "update shared phone again",
                                        "update missing 1",
                                        "add late \xff\xfe"};
const std::vector<std::string> on_laptop{"add shared laptop", "remove shared", "add b laptop",
                                         "remove c",          "add d 1",       "update d 2",
                                         "remove never"};

/// What a client's journal holds, in belay's JSON.
std::vector<nlohmann::json> edits_of(const std::string& file) {
    auto journal = posix::Journal::open(file + ".journal");
    std::vector<nlohmann::json> edits;
    for (auto n = journal.value().base(); n <= journal->last(); ++n) {
        edits.push_back(nlohmann::json::from_cbor(as_text(journal->read(n).value())));
    }
    return edits;
}
/// The line of a script that made an edit.
std::string line_of(const nlohmann::json& edit) {
    const auto text = [](const nlohmann::json& at, const char* name) {
        return at.value("id", "") + (*name != '\0' ? " " + at.value(name, "") : "");
    };
    if (edit.contains("AddElement")) return "add " + text(edit["AddElement"], "element");
    if (edit.contains("UpdateElement")) return "update " + text(edit["UpdateElement"], "changes");
    return "remove " + text(edit["RemoveElement"], "");
}
/// What the notes end as, by the page's words: one register for each, which the later writes.
std::map<std::string, std::string> expected(const std::vector<nlohmann::json>& edits) {
    struct Register {
        nlohmann::json stamp;
        std::optional<std::string> text;
    };
    std::map<std::string, Register> notes;
    for (const nlohmann::json& edit : edits) {
        std::istringstream words{line_of(edit)};
        std::string verb, id, text;
        words >> verb >> id;
        std::getline(words.ignore(1), text);
        const nlohmann::json& at = edit["stamp"];
        const nlohmann::json stamp{at["wall"], at["counter"], at["origin"]};
        const auto there = notes.find(id);
        if (verb == "update" && (there == notes.end() || !there->second.text)) continue;
        if (there != notes.end() && !(there->second.stamp < stamp)) continue;
        notes[id] = {stamp, verb == "remove" ? std::nullopt : std::optional{text}};
    }
    std::map<std::string, std::string> live;
    for (const auto& [id, note] : notes) {
        if (note.text) live.emplace(id, *note.text);
    }
    return live;
}

struct Notes {
    TemporaryDirectory directory{};
    std::string phone = directory / "phone";
    std::string laptop = directory / "laptop";
    std::string store = directory / "notes.db";
    std::map<std::string, std::string> becomes{};

    Notes() {
        write(phone, on_phone);
        write(laptop, on_laptop);
    }
    static void write(const std::string& path, const std::vector<std::string>& lines) {
        std::ofstream file{path};
        for (const std::string& line : lines) file << line << '\n';
    }
    [[nodiscard]] std::vector<std::string> edits() const {
        return {OFFLINE_NOTES_BINARY, "edit", phone, laptop};
    }
    [[nodiscard]] std::vector<std::string> syncs() const {
        return {OFFLINE_NOTES_BINARY, "sync", store, laptop, phone};
    }
    /// Whether the journals have each line once, in order; what the store is to become.
    [[nodiscard]] bool edited() {
        std::vector<nlohmann::json> all;
        for (const auto& [file, lines] : {std::pair{&laptop, &on_laptop}, {&phone, &on_phone}}) {
            const std::vector<nlohmann::json> edits = edits_of(*file);
            if (edits.size() != lines->size()) return false;
            for (std::size_t i = 0; i < edits.size(); ++i) {
                if (line_of(edits[i]) != (*lines)[i]) return false;
            }
            all.insert(all.end(), edits.begin(), edits.end());
        }
        becomes = expected(all);
        return true;
    }
    /// Whether the notes are what they are to become, and how many operations were decided.
    [[nodiscard]] std::string left() const {
        std::string all;
        {
            auto opened = sqlite::Store<TextCodec>::open(store);
            if (!opened) return opened.error().message();
            std::map<std::string, std::string> notes;
            const auto visit = [&](std::string_view id, const std::string& text, const Stamp&) {
                notes.emplace(id, text);
            };
            if (const auto error = opened->for_each("notes", visit)) return error.message();
            all = notes == becomes ? "as expected" : "other notes";
        }
        sqlite3* db = nullptr;
        sqlite3_stmt* count = nullptr;
        REQUIRE(sqlite3_open(store.c_str(), &db) == SQLITE_OK);
        REQUIRE(sqlite3_prepare_v2(db, "SELECT count(*) FROM applied", -1, &count, nullptr) ==
                SQLITE_OK);
        REQUIRE(sqlite3_step(count) == SQLITE_ROW);
        all += ", " + std::to_string(sqlite3_column_int64(count, 0)) + " operations";
        sqlite3_finalize(count);
        sqlite3_close(db);
        return all;
    }
};

struct Ended {
    int code;
    std::string text;
};
Ended run(std::vector<std::string> words, const e2e::Process::Before& before = {}) {
    e2e::Process process{std::move(words), before};
    const int code = process.wait();
    return {code, process.text()};
}
bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

const std::string all_decided = std::to_string(on_phone.size() + on_laptop.size()) + " operations";
const std::string all_once = "as expected, " + all_decided;

}  // namespace

TEST_CASE("The offline notes print themselves, and their conflicts", "[adapter][offline_notes]") {
    const Ended shown = run({OFFLINE_NOTES_BINARY});
    CHECK(shown.code == 0);
    CHECK(has(shown.text, "phone: conflict on shopping: StaleTimestamp\n"));
    CHECK(has(shown.text, "phone: conflict on call: ElementNotFound\n"));
    CHECK(has(shown.text, "0 synced, 2 conflicts, 0 failed"));
    CHECK(has(shown.text, "ideas = sail\nshopping = milk, bread\n"));
}

TEST_CASE("The offline notes are killed at any system call, and continue",
          "[adapter][offline_notes]") {
    {
        Notes notes;
        REQUIRE(run(notes.edits()).code == 0);
        REQUIRE(notes.edited());
        REQUIRE(run(notes.syncs()).code == 0);
        REQUIRE(notes.left() == all_once);
    }
    // Both programs have some hundred calls; a prime, so that all phases of a write are met.
    constexpr int stride = 29;
    bool edit_dies = true;
    bool sync_dies = true;
    for (int n = 1; edit_dies || sync_dies; n += stride) {
        INFO("killed at system call " << n);
        Notes notes;
        edit_dies = killed_at_a_call(notes.edits(), n);
        static_cast<void>(killed_at_a_call(notes.edits(), n + 5));
        REQUIRE(run(notes.edits()).code == 0);
        REQUIRE(notes.edited());
        sync_dies = killed_at_a_call(notes.syncs(), n);
        static_cast<void>(killed_at_a_call(notes.syncs(), n + 7));
        // It is edited meanwhile as well, and synced twice.
        REQUIRE(run(notes.edits()).code == 0);
        REQUIRE(run(notes.syncs()).code == 0);
        const Ended again = run(notes.syncs());
        CHECK(again.code == 0);
        CHECK_FALSE(has(again.text, "synced"));
        REQUIRE(notes.left() == all_once);
    }
}

TEST_CASE("The offline notes report that they were interrupted", "[adapter][offline_notes]") {
    const Notes notes;
    std::vector<std::string> many;
    for (int i = 0; i < 200'000; ++i) many.push_back("add " + std::to_string(i) + " x");
    Notes::write(notes.phone, many);
    e2e::Process process{{OFFLINE_NOTES_BINARY, "edit", notes.phone}};
    REQUIRE(e2e::eventually([&] { return std::filesystem::exists(notes.phone + ".journal"); }));
    process.signal(SIGINT);
    CHECK(process.wait() == 130);
    CHECK(has(process.text(), "interrupted"));
    // Fewer lines now than it may have taken: those that it has are not taken again.
    Notes::write(notes.phone, {});
    CHECK(run(notes.edits()).code == 0);
    CHECK(run(notes.syncs()).code == 0);
}

TEST_CASE("The offline notes report invalid arguments and files", "[adapter][offline_notes]") {
    Notes notes;
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"edit"}, {"sync"}, {"sync", notes.store}, {"nonsense"}, {""}}) {
        std::vector<std::string> all{OFFLINE_NOTES_BINARY};
        all.insert(all.end(), words.begin(), words.end());
        const Ended ended = run(all);
        CHECK(ended.code == 2);
        CHECK(has(ended.text, "usage: "));
    }
    CHECK(run({OFFLINE_NOTES_BINARY, "edit", notes.directory / "none"}).code == 2);
    for (const char* const line : {"", "add", "add x", "remove x y", "move x", "update  "}) {
        Notes::write(notes.phone, {"add a 1", line});
        const Ended ended = run({OFFLINE_NOTES_BINARY, "edit", notes.phone});
        CHECK(ended.code == 2);
        CHECK(has(ended.text, "phone:2: "));
    }
    // The line is mended, and taken; the one before it is not taken again.
    Notes::write(notes.phone, on_phone);
    REQUIRE(run(notes.edits()).code == 0);
    CHECK(notes.edited());
    CHECK(run({OFFLINE_NOTES_BINARY, "sync", notes.directory / "no/such", notes.phone}).code == 2);
    const Ended not_a_store = run({OFFLINE_NOTES_BINARY, "sync", notes.phone, notes.phone});
    CHECK(not_a_store.code == 2);
    CHECK(run(notes.syncs()).code == 0);
    CHECK(has(notes.left(), all_decided));
}

TEST_CASE("The offline notes stop when the disk is full, and continue when it has space",
          "[adapter][offline_notes]") {
    const auto small = [] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{16 << 10, 16 << 10};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(126);
    };
    Notes notes;
    const Ended no_edit = run(notes.edits(), small);
    CHECK(no_edit.code == 2);
    CHECK(has(no_edit.text, "offline_notes: "));
    REQUIRE(run(notes.edits()).code == 0);
    REQUIRE(notes.edited());
    const Ended no_sync = run(notes.syncs(), small);
    CHECK(no_sync.code == 2);
    CHECK(has(no_sync.text, "offline_notes: "));
    CHECK(run(notes.syncs()).code == 0);
    CHECK(notes.left() == all_once);
}
