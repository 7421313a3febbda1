// SPDX-License-Identifier: MIT
// Two cases whose errors stand in one template, and one that is seen only without the others.
template <class T>
struct Promise {
    static_assert(sizeof(T) != 1, "Sample: the promise is broken");
};
template <class T>
void promise(T) {
    static_assert(sizeof(T) != 1, "Sample: the promise is broken");
}

// expect-error: Sample: the promise
namespace in_a_class {
struct Near {
#ifdef BELAY_CONTROL
    int more;
#endif
};
Promise<Near> near;
}  // namespace in_a_class

// expect-error: Sample: the promise
namespace in_a_function {
void use() {
#ifdef BELAY_CONTROL
    promise(1);
#else
    promise([] {});
#endif
}
}  // namespace in_a_function
