// SPDX-License-Identifier: MIT
// Goal: StreamOutput returns its bytes in order, however they are consumed. Method: random
// consumption.
#include <belay/link/detail/stream_connection.hpp>

#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("StreamOutput keeps order and content over any consumption",
          "[link][stream_output][property]") {
    CHECK(rc::check("the bytes that are read are the bytes that were written",
                    [](const std::vector<std::pair<std::string, std::uint8_t>>& steps) {
                        detail::StreamOutput output;
                        std::string in;
                        std::string out;
                        for (const auto& [text, n] : steps) {
                            in += text;
                            output.append(as_bytes(text));
                            output.append(as_bytes("taken back"));
                            output.take_back(10);
                            const std::size_t take = std::min<std::size_t>(n, output.size());
                            out += as_text(output.pending().first(take));
                            output.consume(take);
                            output.give_back_above(64);
                        }
                        out += as_text(output.pending());
                        RC_ASSERT(in == out);
                    }));
}
