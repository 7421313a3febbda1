// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/journal.hpp>
// clang-format off
// excerpt: begin
#if defined(_WIN32)
#include <belay/windows/journal.hpp>
using Outbox = belay::windows::Journal;
#else
#include <belay/posix/journal.hpp>
using Outbox = belay::posix::Journal;
#endif
// excerpt: end
// clang-format on
using namespace belay;

int main() {
    auto outbox = Outbox::open("outbox", {.flush = Flush::group});
    if (!outbox) {
        std::printf("%s\n", outbox.error().message().c_str());
        return 1;
    }
    const auto number = outbox->append(as_bytes("operation"));
    if (!number || outbox->commit()) return 1;  // committed: it survives the end of the process
    const auto body = outbox->read(*number);
    if (!body) return 1;
    std::printf("%d: %.*s\n", static_cast<int>(*number), static_cast<int>(body->size()), as_text(*body).data());
    return outbox->ack(*number) ? 1 : 0;
}
