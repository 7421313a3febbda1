// SPDX-License-Identifier: MIT
#include <cstdio>
#include <vector>

#include <belay/yjs/yjs_update.hpp>
using namespace belay;

// "t", "y", "p" and "e", typed one after the other by client 300: what doc.on('update') gave.
const unsigned char typed[4][12] = {{1, 1, 172, 2, 0, 4, 1, 1, 't', 1, 't', 0},
                                    {1, 1, 172, 2, 1, 132, 172, 2, 0, 1, 'y', 0},
                                    {1, 1, 172, 2, 2, 132, 172, 2, 1, 1, 'p', 0},
                                    {1, 1, 172, 2, 3, 132, 172, 2, 2, 1, 'e', 0}};

int main() {
    // excerpt: begin
    std::vector<BytesView> log;
    for (const auto& update : typed) {
        const BytesView bytes = std::as_bytes(std::span{update});
        const Result<yjs::Summary, yjs::UpdateError> summary = yjs::validate(bytes);
        if (!summary) return std::puts(summary.error().message().c_str()), 1;
        log.push_back(bytes);
    }
    const auto merged = yjs::merge_updates(log);  // one update for four
    if (!merged) return 1;
    const auto document = yjs::coalesce(merged->update);  // as if "type" had been typed at once
    if (!document) return 1;
    // excerpt: end
    std::printf("48 bytes of log, %zu merged, %zu joined\n", merged->update.size(), document->size());

    const auto all = yjs::state_vector(*document);  // how much a server has
    if (!all) return 1;
    const unsigned char has_two[] = {1, 172, 2, 2};  // of a client that has seen "ty"
    const auto missing = yjs::diff_update(*document, std::as_bytes(std::span{has_two}));
    if (!missing) return 1;
    std::printf("a state vector of %zu bytes, %zu bytes for a client with half\n", all->size(), missing->size());

    const auto cut = yjs::validate(log[0].first(9));
    std::printf("%s\n", cut.error().message().c_str());
}
