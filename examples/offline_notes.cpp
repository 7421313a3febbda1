// SPDX-License-Identifier: MIT
// Notes on devices that are offline most of the time. Each command opens a device, does one thing,
// and ends; kill it at any time, and run it again. Needs sqlite3. Two devices and a server's store:
//
//     offline_notes phone add shopping milk
//     offline_notes phone sync notes.db
//     offline_notes laptop sync notes.db
//     offline_notes phone update shopping beer              # both are offline again
//     offline_notes laptop update shopping "milk, bread"
//     offline_notes laptop sync notes.db
//     offline_notes phone sync notes.db                     # reports the conflict
//     offline_notes phone show
#include <cstdio>
#include <map>

#include <belay/posix/journal.hpp>
#include <belay/sqlite/store.hpp>
#include <belay/sync.hpp>
#include <belay/sync/replica.hpp>

using namespace belay;  // in examples only

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const { return into = to_bytes(text), true; }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};
using Store = sqlite::Store<TextCodec>;

int fail(const std::string& why) {
    return std::fprintf(stderr, "offline_notes: %s\n", why.c_str()), 2;
}

int print(const std::string& device, const auto& report) {
    std::printf("%s: %zu synced\n", device.c_str(), report.synced);
    report.for_each([&](const auto& entry) {  // what lost, what others changed, what is not synced
        const std::string line = entry.text([](const std::string& text) { return text; });
        std::printf("%s: %s\n", device.c_str(), line.c_str());
    });
    return report.error ? fail("the sync did not end: " + report.error.message()) : 0;
}

int main(int argc, char** argv) {
    const std::vector<std::string> words{argv + 1, argv + argc};
    const std::string verb = words.size() > 1 ? words[1] : "";
    const bool is_edit = verb == "add" || verb == "update";
    const bool has_argument = verb == "remove" || verb == "sync";
    const std::size_t count = is_edit ? 4 : has_argument ? 3 : 2;
    if (words.size() != count || (count == 2 && verb != "show")) {
        return fail(
            "usage: offline_notes DEVICE add ID TEXT | update ID TEXT | remove ID | show | sync "
            "STORE");
    }
    auto journal = posix::Journal::open(words[0] + ".journal");
    if (!journal) return fail(journal.error().message());
    auto copy = Store::open(words[0] + ".db");
    if (!copy) return fail(copy.error().message());
    // A process that lives for one edit: its clock must not be ahead after each start.
    const ReplicaClockOptions exact{.note_covers = Duration{0}};
    Replica notes{
        std::ref(*journal), std::ref(*copy), TextCodec{}, {.session = "notes", .clock = exact}};
    if (const auto error = notes.load()) return fail(journal->explain(error).message());
    if (verb == "sync") {
        auto store = Store::open(words[2]);
        if (!store) return fail(store.error().message());
        SyncProcessor server{std::ref(*store), LastWriteWins{}};
        return print(words[0], notes.sync(server));
    }
    if (verb == "show") {
        std::map<std::string, std::string> all;
        const auto error =
            notes.for_each([&](auto id, const auto& text) { all.emplace(id, text); });
        for (const auto& [id, text] : all) std::printf("%s = %s\n", id.c_str(), text.c_str());
        return error ? fail(error.message()) : 0;
    }
    decltype(notes)::Action action = RemoveElement{words[2]};
    if (verb == "add") action = AddElement{words[2], words[3]};
    if (verb == "update") action = UpdateElement{words[2], words[3]};
    const auto edit = notes.edit(action);  // durable, and visible, when it returns
    return edit ? 0 : fail(journal->explain(edit.error()).message());
}
