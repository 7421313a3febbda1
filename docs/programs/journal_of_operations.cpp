// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/posix.hpp>
using namespace belay;

int main() {
    // excerpt: begin
    auto journal = posix::Journal::open("outbox", {.flush = Flush::group});
    if (!journal) {
        std::printf("%s\n", journal.error().message().c_str());  // what, where, and what to do
        return 1;
    }
    const auto number = journal->append(as_bytes("operation"));  // taken: 1, 2, 3, ...
    if (!number || journal->commit()) return 1;                  // committed: what was appended is durable
    const auto body = journal->read(*number);                    // a view, until the next read or ack
    if (!body) return 1;
    std::printf("%d: %.*s\n", static_cast<int>(*number), static_cast<int>(body->size()), as_text(*body).data());
    return journal->ack(*number) ? 1 : 0;  // acknowledges everything up to it
    // excerpt: end
}
