// SPDX-License-Identifier: MIT
// Two clients edit the same notes, offline; what they do is kept in journals, and brought into one
// store when they sync: each edit once, in order, every conflict told. Kill it whenever you like,
// and start it again with the same words. Needs sqlite3 and nlohmann/json.
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <belay/adapter/nlohmann_json.hpp>
#include <belay/adapter/sqlite_store.hpp>
#include <belay/call/policies.hpp>
#include <belay/drive/thread_sleeper.hpp>
#include <belay/posix/journal.hpp>
#include <belay/sync.hpp>

using namespace belay;  // in examples only
using Edit = Operation<std::string>;

namespace {

constexpr const char* usage =
    "usage: offline_notes edit FILE...         records the new lines of each FILE as edits of one\n"
    "                                          client: add ID TEXT, update ID TEXT, remove ID\n"
    "       offline_notes sync STORE FILE...   applies the edits of these clients to STORE\n"
    "       offline_notes                      shows both with two clients\n";

std::sig_atomic_t volatile interrupted = 0;
struct Interrupted {
    bool stop_requested() const noexcept { return interrupted != 0; }
};

/// Says why it ends.   Returns: the exit code, 130 after Ctrl-C.
int ends(const std::string& why) {
    std::fprintf(stderr, "offline_notes: %s\n", why.c_str());
    return interrupted != 0 ? 130 : 2;
}
const std::string stopped =
    "interrupted; accepted edits are stored, and the same command continues from there";

struct TextCodec {
    bool encode(const std::string& text, Bytes& into) const {
        const BytesView bytes = as_bytes(text);
        into.insert(into.end(), bytes.begin(), bytes.end());
        return true;
    }
    std::optional<std::string> decode(BytesView bytes) const { return std::string{as_text(bytes)}; }
};

std::optional<Edit::Action> parse(const std::string& line) {
    std::istringstream words{line};
    std::string verb, id, text;
    words >> verb >> id >> std::ws;
    std::getline(words, text);
    if (id.empty() || (verb == "remove") != text.empty()) return std::nullopt;
    if (verb == "add") return AddElement{id, text};
    if (verb == "update") return UpdateElement{id, text};
    if (verb == "remove") return RemoveElement{id};
    return std::nullopt;
}

/// The journal is all that a client remembers: what it did, what of it is still to be sent, its
/// name, and how far its clock had come.
Result<posix::Journal, JournalError> journal_of(const std::string& file) {
    return posix::Journal::open(file + ".journal", {.flush = Flush::group});
}

/// Its note is kept with each edit, so it need not cover what comes next.
HybridClock<> clock_of(const posix::Journal& journal) {
    return HybridClock<>{journal.journal_id(), {}, {.note_covers = Duration{0}}};
}

/// Takes the lines of a file that its journal has not taken yet. Needs nobody else.
int edit(const std::string& file) {
    std::ifstream lines{file};
    if (!lines) return ends("cannot read " + file);
    auto journal = journal_of(file);
    if (!journal) return ends(journal.error().message());
    HybridClock<> clock = clock_of(*journal);
    if (const auto error = clock.restore(journal->kept())) return ends(error.message());
    Random bits;
    std::string line;
    for (std::uint64_t number = 1; std::getline(lines, line); ++number) {
        if (number <= journal->last()) continue;  // taken before
        if (interrupted != 0) return ends(stopped);
        const std::string place = file + ":" + std::to_string(number) + ": ";
        const std::optional<Edit::Action> action = parse(line);
        if (!action)
            return ends(place +
                        "the line must be add ID TEXT, update ID TEXT or remove ID, not: " + line);
        const auto bytes = nlohmann::json::to_cbor(Edit{make_id(bits), clock.stamp(), *action});
        std::error_code error;
        if (clock.note_is_due()) error = journal->keep(clock.note());
        if (!error) error = journal->append(std::as_bytes(std::span{bytes})).error();
        if (!error) error = journal->commit();  // from here on it is not lost
        if (error) return ends(place + journal->explain(error).message());
    }
    std::printf("%s: %s edits, %s to sync\n", file.c_str(), std::to_string(journal->last()).c_str(),
                std::to_string(journal->size()).c_str());
    return 0;
}

/// What a client has done and not yet brought into the store, at most so many.
Result<std::vector<Edit>> waiting(posix::Journal& journal, std::uint64_t most) {
    std::vector<Edit> edits;
    for (auto n = journal.base(); n <= journal.last() && edits.size() < most; ++n) {
        const auto bytes = journal.read(n);
        if (!bytes) return bytes.error();
        edits.push_back(nlohmann::json::from_cbor(as_text(*bytes)).get<Edit>());
    }
    return edits;
}

/// Brings what a client did into the store; its clock sees what is there.
int sync(sqlite::Store<TextCodec>& store, const std::string& file) {
    auto journal = journal_of(file);
    if (!journal) return ends(journal.error().message());
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    ThreadSleeper sleeper;
    while (journal->size() != 0) {
        if (interrupted != 0) return ends(stopped);
        const auto edits = waiting(*journal, 1000);
        if (!edits) return ends(journal->explain(edits.error()).message());
        const SyncResult result =
            processor.process_with_retry("notes", *edits, policies::sync(), sleeper, Interrupted{});
        for (const auto& conflict : result.conflicts) {
            std::printf("%s: conflict on %s: %s\n", file.c_str(),
                        std::string{conflict.operation.element()}.c_str(),
                        std::string{to_string(conflict.reason)}.c_str());
        }
        for (const auto& failed : result.failed_operations) {
            // It stays in the journal, and all of the batch with it: what was done of it is known.
            if (failed.retryable)
                return ends("the edits were not synced: " + failed.error.message());
            std::printf("%s: rejected for good: %s\n", file.c_str(),
                        failed.error.message().c_str());
        }
        std::printf("%s: %s\n", file.c_str(), to_string(result).c_str());
        // Killed before this is durable, the client sends all of it again, to no effect.
        std::error_code error = journal->ack(journal->base() + edits->size() - 1);
        if (!error) error = journal->commit();
        if (error) return ends(journal->explain(error).message());
    }
    HybridClock<> clock = clock_of(*journal);
    std::error_code error = clock.restore(journal->kept());
    const auto see = [&](auto, auto&, const Stamp& stamp) { clock.saw(stamp); };
    if (!error) error = store.for_each("notes", see);
    if (!error && clock.note_is_due()) error = journal->keep(clock.note());
    if (!error) error = journal->commit();
    return error ? ends(journal->explain(error).message()) : 0;
}

int sync_all(const std::string& path, std::span<const std::string> files) {
    auto store = sqlite::Store<TextCodec>::open(path);
    if (!store) return ends(store.error().message());
    for (const std::string& file : files) {
        if (const int code = sync(*store, file); code != 0) return code;
    }
    const auto print = [](std::string_view id, const std::string& text, const Stamp&) {
        std::printf("%s = %s\n", std::string{id}.c_str(), text.c_str());
    };
    const std::error_code error = store->for_each("notes", print);
    return error ? ends(error.message()) : 0;
}

/// Two days of two clients, in a directory that is gone afterwards.
int show() {
    const auto directory = std::filesystem::temp_directory_path() /
                           ("belay-offline-notes-" + std::to_string(entropy()));
    std::filesystem::create_directory(directory);
    std::filesystem::current_path(directory);
    std::ofstream{"phone"} << "add shopping milk\nadd call mother\n";
    std::ofstream{"laptop"} << "add ideas sail\n";
    const std::vector<std::string> both{"laptop", "phone"};
    int code = 0;
    for (int day = 1; day <= 2 && code == 0; ++day) {
        code = edit("phone");
        if (code == 0) code = edit("laptop");
        if (code == 0) code = sync_all("notes.db", both);
        // Offline again. Of one note the later words stay, the other goes from under an update.
        std::ofstream{"phone", std::ios::app} << "update shopping beer\nupdate call father\n";
        std::ofstream{"laptop", std::ios::app} << "update shopping milk, bread\nremove call\n";
    }
    std::filesystem::current_path("/");
    std::filesystem::remove_all(directory);
    return code;
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGINT, [](int) { interrupted = 1; });
    const std::vector<std::string> words{argv + 1, argv + argc};
    try {
        if (words.empty()) return show();
        if (words.size() >= 2 && words[0] == "edit") {
            int code = 0;
            for (std::size_t i = 1; i < words.size() && code == 0; ++i) code = edit(words[i]);
            return code;
        }
        if (words.size() >= 3 && words[0] == "sync") {
            return sync_all(words[1], std::span{words}.subspan(2));
        }
    } catch (const std::exception& e) {
        return ends(e.what());
    }
    std::fputs(usage, stderr);
    return 2;
}
