//! The call stacks of several recordings by the names of their functions, which are the same in different builds, unlike
//! addresses and lines.

use std::{collections::HashMap, rc::Rc};

use foldhash::fast::FixedState;

use crate::symbols::Function;

/// A function and the stack that called it. Stack 0 is empty.
#[derive(Clone, Copy, Default)]
struct Node {
    parent: u32,
    function: u32,
}

/// Call stacks as a tree. Inlined functions are functions too.
pub(crate) struct Tree {
    nodes: Vec<Node>,
    children: HashMap<(u32, u32), u32, FixedState>,
    /// The first function of each name that was seen.
    functions: Vec<Rc<Function>>,
    numbers: HashMap<String, u32, FixedState>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::default()],
            children: HashMap::default(),
            functions: Vec::new(),
            numbers: HashMap::default(),
        }
    }

    /// Returns the number of all functions with the name of this one.
    pub(super) fn function(&mut self, function: &Function) -> u32 {
        if let Some(&number) = self.numbers.get(&function.name) {
            return number;
        }
        let number = self.functions.len() as u32;
        self.numbers.insert(function.name.clone(), number);
        // The line in it depends on the stack, and on the build.
        self.functions.push(Rc::new(Function { line: 0, ..function.clone() }));
        number
    }

    /// Returns the stack of a function that another stack called.
    pub(super) fn child(&mut self, parent: u32, function: u32) -> u32 {
        let fresh = self.nodes.len() as u32;
        *self.children.entry((parent, function)).or_insert_with(|| {
            self.nodes.push(Node { parent, function });
            fresh
        })
    }

    /// Iterates over the numbers of the functions in a stack, innermost first.
    pub(super) fn in_stack(&self, stack: u32) -> impl Iterator<Item = u32> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let node = self.nodes[at as usize];
            (at != 0).then(|| {
                at = node.parent;
                node.function
            })
        })
    }

    /// Returns the functions in a stack, innermost first.
    pub(crate) fn functions(&self, stack: u32) -> impl DoubleEndedIterator<Item = &Rc<Function>> {
        let numbers: Vec<_> = self.in_stack(stack).collect();
        numbers.into_iter().map(|number| &self.functions[number as usize])
    }
}
