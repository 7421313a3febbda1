// SPDX-License-Identifier: MIT
// Goal: the example of two devices that edit offline loses no confirmed edit, wherever it is
// killed, and reports why it ends. Method: its processes, killed at their system calls and on a
// full disk. Both devices and the server's store are compared with a model.
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <map>
#include <optional>

#include <belay/sqlite/store.hpp>

#include "e2e/process.hpp"
#include "support/beside_program.hpp"
#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/seeds.hpp"
#include "support/sqlite/killed_at_a_call.hpp"
#include "support/sync/text_codec.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using Words = std::vector<std::string>;

/// The commands of the devices, in this order.
const std::vector<Words> days{{"phone", "add", "a", "1"},
                              {"laptop", "add", "shared", "laptop"},
                              {"phone", "update", "a", "of the phone"},
                              {"phone", "add", "b", "1"},
                              {"phone", "sync"},
                              {"phone", "remove", "b"},
                              {"phone", "add", "shared", "phone"},
                              {"laptop", "sync"},
                              {"phone", "add", "c", " with  spaces "},
                              {"laptop", "add", "b", "laptop"},
                              {"laptop", "update", "a", "of the laptop"},
                              {"laptop", "remove", "never"},
                              {"phone", "update", "late", "\xff\xfe"}};

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

struct Notes {
    TemporaryDirectory directory{};
    std::string store = directory / "notes.db";

    /// The arguments of a command, with the paths in the directory.
    [[nodiscard]] std::vector<std::string> command(const Words& words) const {
        std::vector<std::string> all{beside_program(OFFLINE_NOTES_BINARY), directory / words[0]};
        all.insert(all.end(), words.begin() + 1, words.end());
        if (words[1] == "sync") all.push_back(store);
        return all;
    }
    /// The expected state of all devices and of the store: the last edit of each note, by time.
    [[nodiscard]] static std::string expected() {
        std::map<std::string, std::string> notes;
        for (const Words& words : days) {
            if (words[1] == "remove") notes.erase(words[2]);
            if (words[1] == "add" || words[1] == "update") notes[words[2]] = words[3];
        }
        return text_of(notes);
    }
    [[nodiscard]] static std::string text_of(const std::map<std::string, std::string>& notes) {
        std::string text;
        for (const auto& [id, note] : notes) text += id + " = " + note + "\n";
        return text;
    }
    [[nodiscard]] std::string stored() const {
        auto opened = sqlite::Store<TextCodec>::open(store);
        if (!opened) return opened.error().message();
        std::map<std::string, std::string> notes;
        const auto visit = [&](std::string_view id, const std::string& text, const Stamp&) {
            notes.emplace(id, text);
        };
        if (const auto error = opened->for_each("notes", visit)) return error.message();
        return text_of(notes);
    }
    void syncs_to_the_end() const {
        for (const char* const device : {"phone", "laptop", "phone", "laptop"}) {
            REQUIRE(run(command({device, "sync"})).code == 0);
        }
        CHECK(run(command({"phone", "show"})).text == expected());
        CHECK(run(command({"laptop", "show"})).text == expected());
        CHECK(stored() == expected());
    }
};

}  // namespace

TEST_CASE("The offline notes report each conflict, and each edit that others replaced",
          "[sqlite][offline_notes]") {
    const Notes notes;
    Ended last{};
    for (const Words& words : std::vector<Words>{{"phone", "add", "shopping", "milk"},
                                                 {"phone", "add", "call", "mother"},
                                                 {"laptop", "add", "ideas", "sail"},
                                                 {"phone", "sync"},
                                                 {"laptop", "sync"},
                                                 {"phone", "update", "shopping", "beer"},
                                                 {"laptop", "update", "shopping", "milk, bread"},
                                                 {"laptop", "remove", "call"},
                                                 {"laptop", "sync"},
                                                 {"phone", "sync"}}) {
        last = run(notes.command(words));
        REQUIRE(last.code == 0);
    }
    CHECK(has(last.text, "phone: shopping: your edit lost: \"beer\"\n"));
    CHECK(has(last.text,
              "phone: call: another device changed your version: \"mother\" is now removed\n"));
    CHECK(run(notes.command({"phone", "show"})).text == "ideas = sail\nshopping = milk, bread\n");
}

TEST_CASE("The offline notes are killed at any system call, and continue",
          "[sqlite][offline_notes]") {
    // A command has some hundred calls. The step is a prime, and each command is killed at other
    // calls, so that all phases of a write are met. A sanitizer makes hundreds of calls more before
    // main(), which needs more runs.
    const int stride = is_large() && !sanitized ? 37 : 149;
    bool one_dies = true;
    for (int n = 1; one_dies; n += stride) {
        INFO("killed from system call " << n << " on");
        const Notes notes;
        one_dies = false;
        int at = n;
        for (const Words& words : days) {
            one_dies = killed_at_a_call(notes.command(words), at) || one_dies;
            // The command may have finished: repeating it has the same result.
            static_cast<void>(killed_at_a_call(notes.command(words), at + 7));
            REQUIRE(run(notes.command(words)).code == 0);
            at = n + (at - n + 31) % stride;
        }
        notes.syncs_to_the_end();
    }
}

TEST_CASE("The offline notes show an edit as soon as it is confirmed", "[sqlite][offline_notes]") {
    const Notes notes;
    REQUIRE(run(notes.command({"phone", "add", "a", "1"})).code == 0);
    CHECK(run(notes.command({"phone", "show"})).text == "a = 1\n");
    CHECK(run(notes.command({"laptop", "show"})).text.empty());
}

TEST_CASE("The offline notes report invalid arguments and files", "[sqlite][offline_notes]") {
    const Notes notes;
    const std::string device = notes.directory / "phone";
    for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                  {device},
                                                  {device, "add"},
                                                  {device, "add", "x"},
                                                  {device, "remove", "x", "y"},
                                                  {device, "move", "x"},
                                                  {device, "sync"},
                                                  {""}}) {
        std::vector<std::string> all{beside_program(OFFLINE_NOTES_BINARY)};
        all.insert(all.end(), words.begin(), words.end());
        const Ended ended = run(all);
        CHECK(ended.code == 2);
        CHECK(has(ended.text, "usage: "));
    }
    CHECK(run(notes.command({"phone", "add", "", "1"})).code == 2);
    REQUIRE(run(notes.command({"phone", "add", "a", "1"})).code == 0);
    CHECK(run({beside_program(OFFLINE_NOTES_BINARY), device, "sync", notes.directory / "no/such"})
              .code == 2);
    std::ofstream{notes.store} << "no store";
    CHECK(run(notes.command({"phone", "sync"})).code == 2);
    std::filesystem::remove(notes.store);
    CHECK(run(notes.command({"phone", "sync"})).code == 0);
    CHECK(notes.stored() == "a = 1\n");
    // The store of another server must not remove the notes of the device.
    std::filesystem::remove(notes.store);
    const Ended other = run(notes.command({"phone", "sync"}));
    CHECK(other.code == 2);
    CHECK(has(other.text, "another store"));
    CHECK(run(notes.command({"phone", "show"})).text == "a = 1\n");
}

TEST_CASE("The offline notes stop when the disk is full, and continue when it has space",
          "[sqlite][offline_notes]") {
    const auto small = [] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{16 << 10, 16 << 10};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(126);
    };
    const Notes notes;
    const Ended no_edit = run(notes.command({"phone", "add", "a", "1"}), small);
    CHECK(no_edit.code == 2);
    CHECK(has(no_edit.text, "offline_notes: "));
    for (const Words& words : days) {
        if (words[1] == "sync") {
            const Ended no_sync = run(notes.command(words), small);
            CHECK(no_sync.code == 2);
            CHECK(has(no_sync.text, "offline_notes: "));
        }
        REQUIRE(run(notes.command(words)).code == 0);
    }
    notes.syncs_to_the_end();
}
