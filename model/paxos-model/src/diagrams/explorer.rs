//! An adapter that shows a model in stateright's Explorer: actions in words, and the path so far as a diagram.
//!
//! The adapter offers only actions that have a next state. The Explorer would list the other actions as well, and its server
//! would stop if the address of a page named one of them.

use stateright::{Model, Path, Property};

use super::Drawn;
use state_explorer::{Behaviour, Wrapper, lifted};

/// The style of the Explorer's page in windows of at least 900 pixels. [`ExplorerAdapter`] puts it before the picture, and the
/// Explorer copies both into its page. The style keeps the picture in the window while the user scrolls the list of actions.
/// Without the style, a picture that is wider than its column is below the list of properties, out of sight.
const LAYOUT: &str = "<style>@media (min-width:900px){\
    .main-flex{flex-wrap:nowrap}\
    .main-flex-left{flex:0 0 380px}\
    .main-flex-right{flex:1 1 0;min-width:0;position:sticky;top:0;align-self:flex-start;\
    max-height:100vh;overflow-y:auto}\
    .hscroll svg{max-width:100%;height:auto}\
    }</style>";

/// A model for stateright's Explorer.
pub struct ExplorerAdapter<M: Drawn> {
    model: M,
    properties: Vec<Property<M>>,
}

impl<M: Drawn> ExplorerAdapter<M> {
    /// Adapts a model.
    pub fn new(model: M) -> Self {
        let properties = model.properties();
        Self { model, properties }
    }
}

impl<M: Drawn> Model for ExplorerAdapter<M> {
    type State = M::State;
    type Action = M::Action;

    fn init_states(&self) -> Vec<Self::State> {
        self.model.init_states()
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        self.model.actions(state, actions);
        actions.retain(|action| self.model.next_state(state, action.clone()).is_some());
    }

    fn next_state(&self, state: &Self::State, action: Self::Action) -> Option<Self::State> {
        self.model.next_state(state, action)
    }

    fn format_action(&self, action: &Self::Action) -> String {
        self.model.describe(action)
    }

    fn format_step(&self, state: &Self::State, action: Self::Action) -> Option<String> {
        self.next_state(state, action).map(|next| self.model.render(&next))
    }

    fn as_svg(&self, path: Path<Self::State, Self::Action>) -> Option<String> {
        let mut path = path.into_vec().into_iter();
        let (initial, first) = path.next()?;
        let actions = [first].into_iter().chain(path.map(|(_, action)| action)).flatten();
        let behaviour = Behaviour::replay(&self.model, initial, actions)?;
        let picture = self.model.diagram(&behaviour, &self.model.title()).svg();
        Some(format!("{LAYOUT}{picture}"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        lifted(self)
    }
}

impl<M: Drawn> Wrapper for ExplorerAdapter<M> {
    type Inner = M;

    fn inner(&self) -> &M {
        &self.model
    }

    fn inner_properties(&self) -> &[Property<M>] {
        &self.properties
    }

    fn inner_state(state: &M::State) -> &M::State {
        state
    }
}
