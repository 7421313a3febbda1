// SPDX-License-Identifier: MIT
// Notes on two devices that are offline most of the time. Each command opens a device, does one
// thing, and ends; kill it at any time, and run it again. Needs sqlite3.
#include <cstdio>
#include <filesystem>
#include <map>

#include <belay/adapter/sqlite_store.hpp>
#include <belay/posix/journal.hpp>
#include <belay/sync.hpp>
#include <belay/sync/replica.hpp>

using namespace belay;  // in examples only

namespace {

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const {
        const BytesView bytes = as_bytes(text);
        into.insert(into.end(), bytes.begin(), bytes.end());
        return true;
    }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
using Store = sqlite::Store<TextCodec>;

int ends(const std::string& why) {
    std::fprintf(stderr, "offline_notes: %s\n", why.c_str());
    return 2;
}

template <class Notes, class Opened>
int sync(Notes& notes, const std::string& device, Opened store) {
    if (!store) return ends(store.error().message());
    SyncProcessor server{std::ref(*store), LastWriteWins{}};
    const auto report = notes.sync(server);
    for (const auto& conflict : report.conflicts) {
        std::printf("%s: conflict on %s: %s\n", device.c_str(),
                    std::string{conflict.operation.element()}.c_str(),
                    std::string{to_string(conflict.reason)}.c_str());
    }
    for (const auto& one : report.replaced) {
        std::printf("%s: others replaced %s\n", device.c_str(), one.mine.id.c_str());
    }
    for (const auto& one : report.kept) {
        std::printf("%s: not synced yet: %s\n", device.c_str(), one.error.message().c_str());
    }
    if (report.error) return ends("the edits were not synced: " + report.error.message());
    std::printf("%s: %zu synced\n", device.c_str(), report.synced);
    return 0;
}

/// Runs one command, such as {"phone", "add", "shopping", "milk"}.
int run(const std::vector<std::string>& words) {
    const std::string verb = words.size() > 1 ? words[1] : "";
    const bool is_edit = words.size() == 4 && (verb == "add" || verb == "update");
    const bool is_removal = words.size() == 3 && verb == "remove";
    const bool is_sync = words.size() == 3 && verb == "sync";
    if (!is_edit && !is_removal && !is_sync && !(words.size() == 2 && verb == "show")) {
        return ends(
            "usage: offline_notes DEVICE add ID TEXT | update ID TEXT | remove ID | show | "
            "sync STORE\n       offline_notes     shows two devices");
    }
    auto journal = posix::Journal::open(words[0] + ".journal");
    if (!journal) return ends(journal.error().message());
    auto copy = Store::open(words[0] + ".db");
    if (!copy) return ends(copy.error().message());
    // A process that lives for one edit: its clock must not be ahead after each start.
    const HybridClockOptions exact{.note_covers = Duration{0}};
    Replica notes{
        std::ref(*journal), std::ref(*copy), TextCodec{}, {.session = "notes", .clock = exact}};
    if (const auto error = notes.load()) return ends(journal->explain(error).message());
    if (is_sync) return sync(notes, words[0], Store::open(words[2]));
    if (verb == "show") {
        std::map<std::string, std::string> all;
        const auto error =
            notes.for_each([&](auto id, const auto& text) { all.emplace(id, text); });
        if (error) return ends(error.message());
        for (const auto& [id, text] : all) std::printf("%s = %s\n", id.c_str(), text.c_str());
        return 0;
    }
    decltype(notes)::Action action = RemoveElement{words[2]};
    if (verb == "add") action = AddElement{words[2], words[3]};
    if (verb == "update") action = UpdateElement{words[2], words[3]};
    const auto edit = notes.edit(action);  // durable, and visible, when it returns
    return edit ? 0 : ends(journal->explain(edit.error()).message());
}

/// Two days of two devices, in a directory that is removed afterwards.
int show() {
    const auto directory = std::filesystem::temp_directory_path() /
                           ("belay-offline-notes-" + std::to_string(entropy()));
    std::filesystem::create_directory(directory);
    std::filesystem::current_path(directory);
    int code = 0;
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"phone", "add", "shopping", "milk"},
             {"phone", "add", "call", "mother"},
             {"laptop", "add", "ideas", "sail"},
             {"phone", "sync", "notes.db"},
             {"laptop", "sync", "notes.db"},
             {"phone", "update", "shopping", "beer"},  // both are offline again
             {"laptop", "update", "shopping", "milk, bread"},
             {"laptop", "remove", "call"},
             {"laptop", "sync", "notes.db"},
             {"phone", "sync", "notes.db"},
             {"phone", "show"}}) {
        if (code == 0) code = run(words);
    }
    std::filesystem::current_path("/");
    std::filesystem::remove_all(directory);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return argc == 1 ? show() : run({argv + 1, argv + argc});
    } catch (const std::exception& e) {
        return ends(e.what());
    }
}
