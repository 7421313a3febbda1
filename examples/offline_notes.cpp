// SPDX-License-Identifier: MIT
// Notes on devices that are offline most of the time, with a server's store. Kill any command, and
// run it again: offline_notes phone add shopping milk; offline_notes phone sync notes.db
#include <cstdio>
#include <set>

#include <belay/posix/journal.hpp>
#include <belay/sqlite/store.hpp>
#include <belay/sync.hpp>
#include <belay/sync/replica.hpp>

using namespace belay;  // in examples only

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const { return into = to_bytes(text), true; }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};

int fail(const std::string& why) {
    return std::fprintf(stderr, "offline_notes: %s\n", why.c_str()), 2;
}

int main(int argc, char** argv) {
    const std::vector<std::string> words{argv + 1, argv + argc};
    const std::string verb = words.size() > 1 ? words[1] : "";
    const std::set<std::string> forms{"add 4", "update 4", "remove 3", "show 2", "sync 3"};
    if (forms.count(verb + ' ' + std::to_string(words.size())) == 0) {
        return fail("usage: DEVICE add ID TEXT | update ID TEXT | remove ID | show | sync STORE");
    }
    auto journal = posix::Journal::open(words[0] + ".journal");
    if (!journal) return fail(journal.error().message());
    auto copy = sqlite::Store<TextCodec>::open(words[0] + ".db");
    if (!copy) return fail(copy.error().message());
    // A process that lives for one edit: its clock must not be ahead after each start.
    const ReplicaOptions options{.session = "notes", .clock = {.note_covers = Duration{0}}};
    Replica notes{std::ref(*journal), std::ref(*copy), TextCodec{}, options};
    if (const auto error = notes.load()) return fail(journal->explain(error).message());
    if (verb == "sync") {
        auto store = sqlite::Store<TextCodec>::open(words[2]);
        if (!store) return fail(store.error().message());
        SyncProcessor server{std::ref(*store), LastWriteWins{}};
        const auto report = notes.sync(server);
        report.for_each([&](const auto& entry) {  // what lost, what others changed
            const std::string line = entry.text([](const std::string& text) { return text; });
            std::printf("%s: %s\n", words[0].c_str(), line.c_str());
        });
        return report.error ? fail("the sync did not end: " + report.error.message()) : 0;
    }
    if (verb == "show") {
        const auto error = notes.for_each([](std::string_view id, const std::string& text) {
            std::printf("%s = %s\n", std::string{id}.c_str(), text.c_str());
        });
        return error ? fail(error.message()) : 0;
    }
    decltype(notes)::Action action = RemoveElement{words[2]};
    if (verb == "add") action = AddElement{words[2], words[3]};
    if (verb == "update") action = UpdateElement{words[2], words[3]};
    const auto edit = notes.edit(action);  // durable, and visible, when it returns
    return edit ? 0 : fail(journal->explain(edit.error()).message());
}
