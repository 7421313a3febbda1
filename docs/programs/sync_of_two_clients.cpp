// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>
#include <vector>

#include <belay/sync.hpp>
using namespace belay;
using Edit = Operation<std::string>;

/// A client that has been offline: it stamps what it does, and keeps it.
struct Client {
    HybridClock<> clock;
    Random bits{Seed{clock.origin()[0] == std::byte{1} ? 1U : 2U}};  // in a program: seeded by nothing
    std::vector<Edit> edits{};

    void edit(Edit::Action action) { edits.push_back({make_id(bits), clock.stamp(), std::move(action)}); }
};

int main() {
    // excerpt: begin
    MemoryStore<std::string> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    Client phone{HybridClock<>{Id{std::byte{1}}}};
    Client laptop{HybridClock<>{Id{std::byte{2}}}};

    phone.edit(AddElement{"shopping", std::string{"milk"}});
    if (!processor.process_batch("notes", phone.edits).success) return 1;  // both are online, and see it
    // excerpt: end

    // excerpt: begin
    phone.edit(UpdateElement{"shopping", std::string{"milk, bread"}});  // offline
    laptop.edit(RemoveElement{"shopping"});                             // offline, and later
    laptop.edit(AddElement{"ideas", std::string{"sail"}});

    for (Client* client : {&laptop, &phone}) {  // online again; all that it has, known or not
        const SyncResult result = processor.process_batch("notes", client->edits);
        // excerpt: end
        for (const auto& conflict : result.conflicts) {
            std::printf("%s: %s\n", std::string{conflict.operation.element()}.c_str(), std::string{to_string(conflict.reason)}.c_str());
        }
        std::printf("%d synced, %d conflicts\n", static_cast<int>(result.synced_count), static_cast<int>(result.conflict_count));
    }
    store.for_each("notes", [](std::string_view id, const std::string& text, const Stamp&) {
        std::printf("%s = %s\n", std::string{id}.c_str(), text.c_str());
    });
    return 0;
}
