// SPDX-License-Identifier: MIT
// Two adapters, each over the library of its component.
#include <belay/adapter/lmdb_storage.hpp>
#include <belay/adapter/sqlite_storage.hpp>
#include <belay/queue.hpp>

#include <cstdio>

template <class Storage>
bool keeps_an_operation(const char* path) {
    auto storage = Storage::open(path);
    if (!storage) return std::printf("%s\n", storage.error().message().c_str()), false;
    belay::Queue queue{std::move(*storage)};
    if (queue.push(belay::as_bytes("operation"))) return false;
    return queue.drain([](belay::BytesView) { return true; }).drained == 1;
}

int main() {
    const bool kept = keeps_an_operation<belay::sqlite::Storage>("outbox.db") &&
                      keeps_an_operation<belay::lmdb::Storage>("outbox.mdb");
    std::puts(kept ? "both keep operations" : "one does not keep operations");
    return kept ? 0 : 1;
}
